"""The values that docs/kubernetes.md shows render, each block on top of the smallest."""

import re
from pathlib import Path

import pytest
import yaml

from parts.helm import of_kind, render

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kubernetes.md"
SMALLEST, *FURTHER = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", ["", *FURTHER], ids=range(1 + len(FURTHER)))
def test_documented_values_render(block, tmp_path):
    files = [tmp_path / "smallest.yaml", tmp_path / "further.yaml"]
    files[0].write_text(SMALLEST)
    files[1].write_text(block)
    objects = render(None, *(word for file in files for word in ("--values", str(file))))
    assert list(of_kind(objects, "Deployment")) == ["tiltmeter"]
    for kind in ("serviceMonitor", "prometheusRule"):
        enabled = (yaml.safe_load(block) or {}).get(kind, {}).get("enabled", False)
        assert bool(of_kind(objects, kind[0].upper() + kind[1:])) == enabled


def test_the_patch_is_in_the_configmap_that_the_page_names():
    (name,) = re.findall(r"kubectl get configmap (\S+)", PAGE.read_text())
    assert name in of_kind(render("sidecar"), "ConfigMap")
