"""The chart, rendered by the real helm: valid manifests, a configuration that loads, and clear refusals."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from parts import require
from service.config import load

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "tiltmeter"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
KUBERNETES = ("1.28", "1.31", "1.34")


@pytest.fixture(scope="session")
def helm() -> str:
    found = shutil.which("helm", path=f"{ROOT / '.parts' / 'bin'}:{os.environ['PATH']}")
    if found is None:
        require.lacking("helm", "no helm on the path nor in .parts/bin: run `make parts` (needs Go)")
    return found


def _run(helm: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], capture_output=True, text=True, timeout=60)


def _render(helm: str, *arguments: str) -> dict[str, dict[str, Any]]:
    done = _run(helm, "template", "release", str(CHART), "--namespace", "monitoring", "--kube-version", "1.31.0", *arguments)
    assert done.returncode == 0, done.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout) if document}


def _refused(helm: str, *arguments: str) -> str:
    done = _run(helm, "template", "release", str(CHART), "--kube-version", "1.31.0", *arguments)
    assert done.returncode != 0
    return done.stderr


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def manifests(helm: str, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return _render(helm, "--values", str(request.param))


def _pod(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("case", [None, *CASES], ids=lambda case: case.stem if case else "defaults")
def test_lint(helm: str, case: Path | None) -> None:
    done = _run(helm, "lint", "--strict", str(CHART), *(["--values", str(case)] if case else []))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_are_valid(manifests: dict[str, dict[str, Any]], version: str) -> None:
    assert {"Deployment", "ConfigMap", "Service", "ServiceAccount"} <= set(manifests)
    for document in manifests.values():
        kubernetes_validate.validate(document, version, strict=True)


def test_configuration_loads(manifests: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(manifests["ConfigMap"]["data"]["config.yaml"])
    config = load(path, {})
    assert (config.http.host, config.http.port) == ("0.0.0.0", 9108)
    assert "support-bot" in config.models
    mounts = {mount["mountPath"] for mount in _pod(manifests)["containers"][0]["volumeMounts"]}
    for model in config.models.values():
        assert any(str(model.bundle).startswith(f"{mount}/") for mount in mounts)
    if str(config.store).startswith("sqlite"):
        assert "/var/lib/tiltmeter" in mounts


def test_pod_is_locked_down(manifests: dict[str, dict[str, Any]]) -> None:
    pod = _pod(manifests)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    container = pod["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"/tmp", "/var/lib/tiltmeter"} <= {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}


def test_probes_service_and_selectors_agree(manifests: dict[str, dict[str, Any]]) -> None:
    container = _pod(manifests)["containers"][0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["ports"] == [{"name": "http", "containerPort": 9108, "protocol": "TCP"}]
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (manifests["Service"]["spec"]["selector"], manifests["Deployment"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
        assert "helm.sh/chart" not in selector


def test_a_changed_configuration_restarts_the_pod(helm: str) -> None:
    case = ("--values", str(CHART / "ci" / "http-values.yaml"))
    before, same, after = (_render(helm, *case, *more) for more in ((), (), ("--set", "config.windows.length=30s")))
    checksums = [found["Deployment"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for found in (before, same, after)]
    assert checksums[0] == checksums[1] != checksums[2]


def test_one_process_per_sqlite_ledger(helm: str) -> None:
    case = ("--values", str(CHART / "ci" / "http-values.yaml"))
    assert _render(helm, *case)["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert "replicaCount above 1 needs a ledger" in _refused(helm, *case, "--set", "replicaCount=2")
    shared = _render(helm, "--values", str(CHART / "ci" / "postgres-values.yaml"))["Deployment"]["spec"]
    assert shared["strategy"] == {"type": "RollingUpdate"}
    assert shared["replicas"] == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("config.models=null", "models"),
        ("config.models.support-bot.bundle=", "bundle"),
        ("replicas=2", "replicas"),
        ("role=leader", "role"),
        ("image.digest=latest", "digest"),
        ("config.source.kind=pulsar", "kind"),
    ],
)
def test_refusals_name_the_value(helm: str, setting: str, message: str) -> None:
    assert message in _refused(helm, "--values", str(CHART / "ci" / "http-values.yaml"), "--set", setting)


def test_defaults_ask_for_a_model(helm: str) -> None:
    assert "config.models names no model" in _refused(helm)


@pytest.mark.parametrize(("persistent", "warns"), [("true", False), ("false", True)])
def test_notes_warn_of_a_short_lived_ledger(helm: str, tmp_path: Path, persistent: str, warns: bool) -> None:
    # Without a cluster helm renders manifests only: let the notes be one.
    chart = tmp_path / "tiltmeter"
    shutil.copytree(CHART, chart)
    notes = (chart / "templates" / "NOTES.txt").rename(chart / "templates" / "notes.yaml")
    notes.write_text("kind: Notes\ntext: |\n" + "".join(f"  {line}\n" for line in notes.read_text().splitlines()))
    values = ("--values", str(CHART / "ci" / "http-values.yaml"), "--set", f"persistence.enabled={persistent}")
    done = _run(helm, "template", "release", str(chart), "--kube-version", "1.31.0", *values)
    assert done.returncode == 0, done.stderr
    text = next(d["text"] for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "Notes")
    assert "watches: support-bot" in text
    assert ("as short-lived as the pod" in text) is warns


def test_every_value_is_explained() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for key in ("role", "config", "existingSecret", "bundles", "resources"):
        place = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
        assert lines[place - 1].startswith("#") or lines[place + 1].strip().startswith("# --"), key
