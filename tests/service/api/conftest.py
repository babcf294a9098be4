"""One web application and one client for each test."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from web import Stage, connected, make


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = make()
    yield made
    for executor in (made.app.state.decoding, made.app.state.scoring):
        executor.shutdown()


@pytest_asyncio.fixture
async def client(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with connected(stage) as opened:
        yield opened
