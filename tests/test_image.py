"""Dockerfile and compose.yaml, read as text: no container engine is needed to see that they say what they should."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.config import load

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage name, continuation lines joined; the first element of each is its FROM."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    stages: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            current = stages.setdefault(rest.split(" AS ")[1], [])
        current.append((word, rest))
    return stages


STAGES = _stages()


def _whole(target: str) -> list[tuple[str, str]]:
    """Instructions of a target and of the stages it stands on."""
    own = STAGES[target]
    parent = own[0][1].split(" AS ")[0]
    return (_whole(parent) if parent in STAGES else []) + own


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_target_runs_as_nobody_and_is_watched(target: str) -> None:
    instructions = _whole(target)
    assert instructions[-1] == ("USER", "10001:10001")
    assert any(word == "HEALTHCHECK" and "/healthz" in rest for word, rest in instructions)
    assert ("ENTRYPOINT", '["tiltmeter"]') in instructions
    assert ("EXPOSE", "9108") in instructions
    assert not any(word == "ADD" for word, _ in instructions)


def test_base_is_an_argument_without_a_default() -> None:
    assert "\nARG BASE\n" in (ROOT / "Dockerfile").read_text()
    roots = {rest.split(" AS ")[0] for stage in STAGES.values() for word, rest in stage if word == "FROM"} - set(STAGES)
    assert roots == {"${BASE}"}


@pytest.mark.parametrize("name", ["cpu", "gpu", "base", "setup"])
def test_no_torch_and_every_package_hashed(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    packages = [line.split("==")[0] for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert not {"torch", "sentence-transformers", "evidently", "pandas"} & set(packages)
    for entry in re.split(r"\n(?=[a-z])", text)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in text
    assert ("onnxruntime-gpu" in packages) == (name != "cpu")


def test_files_copied_exist_and_are_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for word, rest in (instruction for stage in STAGES.values() for instruction in stage):
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert source == "README.md" or (ROOT / source).exists(), source
                assert f"!{source}" in ignored or f"!{Path(source).parent}/*{Path(source).suffix}" in ignored, source


def test_compose_configuration_loads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(COMPOSE["configs"]["tiltmeter"]["content"])
    config = load(path, {})
    assert config.source.kind == "kafka"
    assert config.http.host == "0.0.0.0"


def test_compose_mounts_exist_and_pods_are_locked_down() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and source != "./bundle":
                assert (ROOT / source).exists(), source
    tiltmeter = COMPOSE["services"]["tiltmeter"]
    assert tiltmeter["read_only"] is True
    assert tiltmeter["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for service in COMPOSE["services"].values() for port in service["ports"])


def test_prometheus_configuration_is_valid(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on the path (Debian: prometheus)")
    config = yaml.safe_load((ROOT / "dashboards" / "prometheus" / "prometheus.yaml").read_text())
    assert config["scrape_configs"][0]["job_name"] == "tiltmeter"
    config["rule_files"] = [str(ROOT / "dashboards" / "rules" / "*.yaml")]
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run([promtool, "check", "config", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
