"""What is printed after an install says what to do next, with names that are there."""

import re
import shutil

import pytest
import yaml

from parts import helm
from parts.helm import CASES, of_kind, render


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """The chart with its notes as an object: without a cluster helm renders objects only."""
    chart = tmp_path_factory.mktemp("chart") / "tiltmeter"
    shutil.copytree(helm.CHART, chart)
    notes = (chart / "templates" / "NOTES.txt").rename(chart / "templates" / "notes.yaml")
    text = notes.read_text()
    notes.write_text(
        '{{- define "notes" }}'
        + text
        + '{{ end -}}\nkind: Notes\nmetadata: {name: notes, namespace: monitoring}\ntext: {{ include "notes" . | toJson }}\n'
    )
    return chart


def told(chart, case, *more):
    (notes,) = [each for each in render(case, *more, chart=chart) if each["kind"] == "Notes"]
    return notes["text"]


@pytest.mark.parametrize("case", CASES)
def test_every_object_that_is_named_is_there(noted, case):
    text, objects = told(noted, case), render(case)
    assert text.startswith("Tiltmeter watches: support-bot\n")
    for kind in ("Service", "Deployment", "ConfigMap"):
        named = re.findall(rf"\b{kind.lower()}[ /](release-[\w-]+)", text)
        assert {name.removeprefix("release-") for name in named} <= set(of_kind(objects, kind)), text
    steps = [int(number) for number in re.findall(r"^(\d)\. ", text, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) == 4
    assert "\n\n\n" not in text


def test_each_mode_has_its_first_step(noted):
    assert "patch deployment MODEL-SERVER --patch-file patch.yaml" in told(noted, "sidecar")
    assert "http://127.0.0.1:9108/v1/prompts" in told(noted, "sidecar")
    assert "check-config /etc/tiltmeter/config.yaml --connect" in told(noted, "kafka")
    assert "http://release-tiltmeter.monitoring:9108/v1/prompts" in told(noted, "sqlite")


def test_warnings_come_when_they_are_due(noted):
    assert "WARNING" not in told(noted, "sqlite")
    assert "WARNING" not in told(noted, "kafka")
    assert "as short-lived as the pod" in told(noted, "sqlite", "--set", "persistence.enabled=false")
    assert "as short-lived as the pod" in told(noted, "sidecar-sqlite")
    lost = ("--set", "config.store=sqlite:////var/lib/tiltmeter/h.db")
    assert "the history is a SQLite file of each decider" in told(noted, "kafka", *lost)
    assert "no alert is installed" in told(noted, "sqlite")
    assert "no alert is installed" not in told(noted, "kafka")
    assert "set prometheusRule.runbookUrl" in told(noted, "kafka")
    nobody = ("--set", "secrets.token.existingSecret=,extraEnv=null,extraEnvFrom=null")
    assert "nobody can acknowledge" in told(noted, "kafka", *nobody)
    assert "nobody can acknowledge" not in told(noted, "sqlite")
    assert "nothing scrapes /metrics yet" in told(noted, "sqlite")


def test_the_patch_command_prints_the_patch():
    # kubectl's go-template over the ConfigMap is what the notes tell; here the same lookup by hand.
    patch = of_kind(render("sidecar"), "ConfigMap")["tiltmeter-patch"]["data"]["patch.yaml"]
    assert set(yaml.safe_load(patch)) == {"spec"}
