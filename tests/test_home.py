"""The repository as a home: layers that a linter cannot see, pinned requirements, and a Makefile that explains itself."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("tools", "encoder", "base", "setup", "dev", "gpu", "cpu", "export", "report")
# A detector has no clock, no files, no log and no state outside itself.
NOT_FOR_DETECTORS = {"io", "logging", "os", "pathlib", "random", "socket", "subprocess", "sys", "tempfile", "threading", "time", "warnings"}


def _packages(name: str) -> dict[str, set[str]]:
    """Versions by package: one, or one for each range of Python versions."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,]+\])?==([^ ;\\]+)", text, flags=re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "detectors").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_detectors_are_numpy_and_scipy_only(path: Path) -> None:
    imports = _imports(path)
    assert imports <= {"detectors", "numpy", "scipy"} | set(sys.stdlib_module_names)
    assert not imports & NOT_FOR_DETECTORS


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[a-z])", text)[1:]
    assert entries
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in text
    assert "--index-url" not in text


def test_locks_agree_where_they_overlap() -> None:
    base = _packages("base")
    for name in ("setup", "dev", "gpu", "cpu", "export", "report"):
        other = _packages(name)
        shared = set(base) & set(other)
        assert len(shared) > 50
        different = {package for package in shared if not other[package] <= base[package]}
        assert not different, f"{name}: {sorted(different)}"


def test_every_dependency_is_locked() -> None:
    def canonical(requirement: str) -> str:
        return re.split(r"[\[<>=;~ ]", requirement)[0].lower().replace("_", "-")

    base = _packages("base")
    assert {canonical(r) for r in PROJECT["project"]["dependencies"]} <= set(base)
    extras = PROJECT["project"]["optional-dependencies"]
    for extra, name in {
        "dev": "dev",
        "parquet": "setup",
        "postgres": "setup",
        "grafana": "setup",
        "gpu": "gpu",
        "export": "export",
        "report": "report",
    }.items():
        assert {canonical(r) for r in extras[extra]} <= set(_packages(name)), extra


def test_torch_only_where_it_is_asked_for() -> None:
    assert [name for name in LOCKS if "torch" in _packages(name)] == ["export"]


def test_named_packages_are_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    declared = " ".join([*PROJECT["project"]["dependencies"], *(r for extra in extras.values() for r in extra)])
    for package in ("fastapi", "prometheus-client", "evidently", "onnxruntime-gpu", "sentence-transformers", "kafka-python", "grafana-api"):
        assert package in declared


def test_help_names_every_target() -> None:
    done = subprocess.run(["make", "-s", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    phony = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[0].split()
    assert {"help", "setup", "demo", "test", "check", "bench", "image"} <= set(phony)
    for target in phony:
        assert f"make {target} " in done.stdout


def test_version_is_said_once() -> None:
    chart = (ROOT / "helm" / "tiltmeter" / "Chart.yaml").read_text()
    version = PROJECT["project"]["version"]
    assert f'appVersion: "{version}"' in chart
    assert f"tiltmeter:{version}-cpu" in (ROOT / "Makefile").read_text()


def test_every_room_stands_in_the_layers() -> None:
    layers = " ".join(PROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    rooms = {path.stem for path in (ROOT / "service").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}
    assert rooms <= set(re.findall(r"\w+", layers))


def test_tests_have_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
