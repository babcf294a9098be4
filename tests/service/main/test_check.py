"""``tiltmeter check-config --connect``: the device is tried as ``tiltmeter run`` tries it."""

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
