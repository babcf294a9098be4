"""A local Grafana, and a client of it that does not sleep."""

from collections.abc import Callable, Iterator

import pytest
from grafana_server import TOKEN, Grafana, serving

from service.config import Grafana as Settings
from service.grafana.client import Client

Clients = Callable[..., Client]


@pytest.fixture
def served() -> Iterator[tuple[Grafana, str]]:
    with serving() as found:
        yield found


@pytest.fixture
def grafana(served: tuple[Grafana, str]) -> Grafana:
    return served[0]


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def clients(served: tuple[Grafana, str], slept: list[float]) -> Iterator[Clients]:
    made: list[Client] = []

    def make(token: str = TOKEN, tries: int = 4, path: str = "", timeout: float = 5.0) -> Client:
        made.append(Client(Settings(url=served[1] + path, timeout=timeout), token, tries=tries, sleep=slept.append))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(clients: Clients) -> Client:
    return clients()
