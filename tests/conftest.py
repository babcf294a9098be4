"""Options and fixtures that every test may use."""

import os
from pathlib import Path

import pytest

from parts import require

# Two cores are shared by the tests, their brokers and their databases.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Nothing is fetched from a hub while tests run.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    # Written --data=DIR: as two words pytest takes DIR for a test folder before it has read this file.
    parser.addoption("--data", metavar="DIR", type=Path, default=None, help="folder of public data sets (clinc_oos, banking77, ...)")


def pytest_configure(config: pytest.Config) -> None:
    data = config.getoption("--data")
    if data is not None and not data.is_dir():
        raise pytest.UsageError(f"--data {data}: no such folder")
    require.required()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if require.missing:
        terminalreporter.section("real parts missing on this machine")
        for part, reason in sorted(require.missing.items()):
            terminalreporter.line(f"{part}: {reason}")


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """Folder given with --data; tests that need it are skipped without."""
    folder = request.config.getoption("--data")
    if folder is None:
        pytest.skip("needs public data sets: pass --data=DIR")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def root() -> Path:
    """Top folder of the repository."""
    return Path(__file__).resolve().parent.parent
