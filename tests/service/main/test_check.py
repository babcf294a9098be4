"""``tiltmeter check-config --connect``: the device is tried as ``tiltmeter run`` tries it."""

import re
from pathlib import Path

import onnxruntime
import pytest
from typer.testing import CliRunner

from service.main import app


@pytest.fixture
def config(bundle: Path, tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(
        f"source: {{kind: http}}\nstore: 'sqlite:///{tmp_path}/h.db'\nledger: {{kind: sql, url: 'sqlite:///{tmp_path}/l.db'}}\n"
        f"models: {{one: {{bundle: {bundle}}}}}\n"
    )
    return path


def test_the_device_that_would_be_used_is_named(config: Path) -> None:
    result = CliRunner(env={"TILTMETER_COMPUTE__DEVICE": "cpu"}).invoke(app, ["check-config", str(config), "--connect"])
    assert result.exit_code == 0, result.output
    assert "every graph opens on cpu" in result.output


def test_a_gpu_that_is_asked_for_and_absent_is_a_finding_among_others(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    result = CliRunner(env={"TILTMETER_COMPUTE__DEVICE": "cuda"}).invoke(app, ["check-config", str(config), "--connect"])
    said = " ".join(result.output.split())
    assert result.exit_code == 1, said
    assert "no device: compute.device: cuda was asked for, but" in said
    assert "expected a usable GPU, or device: cpu" in said
    assert "ledger answers" in said


def test_a_shadow_is_named_and_must_be_another_bundle(bundle: Path, second: Path, config: Path) -> None:
    plain = config.read_text()
    config.write_text(plain.replace(f"bundle: {bundle}", f"bundle: {bundle}, shadow: {second}"))
    result = CliRunner().invoke(app, ["check-config", str(config)])
    assert result.exit_code == 0, result.output
    assert re.search(r"shadow of one: [0-9a-f]{12}, \d+ reference rows, the same encoder; it wakes nobody", result.output)
    config.write_text(plain.replace(f"bundle: {bundle}", f"bundle: {bundle}, shadow: {bundle}"))
    result = CliRunner().invoke(app, ["check-config", str(config)])
    assert result.exit_code == 2
    assert "models.one.shadow: " in result.output
    assert "is the same bundle as models.one.bundle" in result.output
