"""What the cpu image would install, installed: the locked set with hashes in a clean environment, and the wheel on top."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    python = folder / "venv" / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet", "--no-progress"]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    # The same files and commands as in the Dockerfile; a build in the checkout would leave its own behind.
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for name in ("service", "detectors"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [*uv, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder / "wheel"), str(source)]
    packages = [*uv, "pip", "install", "--python", str(python), "--require-hashes", "-r", str(root / "requirements" / "cpu.txt")]
    for command in (build, packages):
        done = subprocess.run(command, capture_output=True, text=True, timeout=550)
        if done.returncode and any(sign in done.stderr for sign in ("Failed to fetch", "error sending request", "dns error")):
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stderr
    wheel = next((folder / "wheel").glob("*.whl"))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-cache-dir", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, timeout=120)
    return folder


def _python(environment: Path, code: str) -> subprocess.CompletedProcess[str]:
    # -I: nothing of the checkout may help.
    return subprocess.run(
        [environment / "venv" / "bin" / "python", "-I", "-c", code], capture_output=True, text=True, cwd=environment, timeout=120
    )


def test_command_starts(environment: Path) -> None:
    done = subprocess.run(
        [environment / "venv" / "bin" / "tiltmeter", "--help"],
        capture_output=True,
        text=True,
        cwd=environment,
        env={"HOME": "/nonexistent"},
    )
    assert done.returncode == 0, done.stderr
    for command in ("fit", "run", "replay", "check-config"):
        assert command in done.stdout


def test_everything_a_sidecar_imports_is_there(environment: Path) -> None:
    wanted = (
        "onnxruntime, tokenizers, kafka, crc32c, lz4, snappy, zstandard, sqlalchemy, psycopg, pyarrow, fastapi, uvicorn, prometheus_client"
    )
    done = _python(environment, f"import {wanted}; print(onnxruntime.get_available_providers())")
    assert done.returncode == 0, done.stderr
    assert "CPUExecutionProvider" in done.stdout
    assert "CUDAExecutionProvider" not in done.stdout


def test_no_torch_and_under_a_gigabyte(environment: Path) -> None:
    done = _python(environment, "import importlib.util as u; print([n for n in ('torch', 'pandas', 'pip') if u.find_spec(n)])")
    assert done.stdout.strip() == "[]"
    size = sum(path.stat().st_size for path in (environment / "venv").rglob("*") if path.is_file() and not path.is_symlink())
    assert size < 1e9, f"{size / 1e6:.0f} MB"


def test_every_module_and_file_is_in_the_wheel(environment: Path) -> None:
    site = next((environment / "venv" / "lib").glob("python*/site-packages"))
    for package in ("service", "detectors"):
        for path in (environment / "source" / package).rglob("*"):
            if path.is_file():
                name = path.relative_to(environment / "source")
                assert (site / name).exists(), name
