import pytest
from decider_log import Log, settings, watched

from service.decider.decider import Decider


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def decider() -> Decider:
    return Decider(watched(), settings())
