"""A history of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store import ProbeHistory, Store


@pytest.fixture
def history(tmp_path: Path) -> Iterator[ProbeHistory]:
    store = Store.open(f"sqlite:///{tmp_path}/history.db")
    yield store.probes
    store.close()
