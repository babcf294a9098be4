"""Who grades the answers of a suite: the graders that its pack names, with the judges and the encoder that they ask."""

import hashlib
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.canary.probe import Grading
from service.config import Compute, Config, Judge
from service.config.graders import GraderSpec
from service.errors import ConfigError
from service.graders import Graders, Similar, judges_of
from service.graders import Judge as Asking
from service.probes.pack import Pack, Suite
from service.records.probes import Call, Grade, Reply

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from service.encoder import Encoder

Ask = Callable[[Call], Awaitable[Reply]]

UNGRADED = "none"
"""Of fingerprint suites: their answers are compared with earlier ones, not graded."""


def specs_of(suite: Suite) -> tuple[GraderSpec, ...]:
    """Every grader that some item of a suite may have."""
    return tuple(grader for item in suite.items for grader in suite.graders_of(item))


def judges_asked(suite: Suite) -> tuple[str, ...]:
    """Names of the judges that a suite's graders may ask."""
    return tuple(sorted({name for spec in specs_of(suite) for name in judges_of(spec)}))


def judge_id(judge: Judge) -> str:
    """What of a judge's settings changes what it says."""
    told = json.dumps([judge.url, judge.api, judge.model, judge.samples])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def check(pack: Pack, suite: Suite, config: Config) -> None:
    """Raises ConfigError for graders that cannot work with this configuration, naming pack and suite."""
    try:
        grading_of(suite, config, {name: _nobody for name in config.judges}, _nothing)
    except ConfigError as error:
        raise ConfigError(f"pack {pack.id}: suite '{suite.id}': {error}") from None


def check_alone(pack: Pack, suite: Suite, allow_code: bool) -> None:
    """As :func:`check`, without a configuration: every judge that is named is taken as there."""
    try:
        judges = {name: Asking(_nobody, name, 1) for name in judges_asked(suite)}
        Graders.build(specs_of(suite), judges, _nothing, allow_code=allow_code)
    except ConfigError as error:
        raise ConfigError(f"pack {pack.id}: suite '{suite.id}': {error}") from None


def grading_of(suite: Suite, config: Config, judges: Mapping[str, Ask], similar: Similar) -> tuple[str, Grading]:
    """Identity of the graders of a suite, and what calls them. Raises ConfigError."""
    specs = specs_of(suite)
    if suite.kind == "fingerprint" and not specs:
        return UNGRADED, _ungraded
    asking = {name: Asking(ask, judge_id(config.judges[name]), config.judges[name].samples) for name, ask in judges.items()}
    graders = Graders.build(specs, asking, similar, allow_code=config.probes.allow_code)
    return graders.id, graders.grade


class Alike:
    """Texts to unit vectors by the encoder of a model's bundle, opened when it is first asked. Used from one event loop and its threads."""

    def __init__(self, bundle: Path, compute: Compute) -> None:
        self._bundle, self._compute = bundle, compute
        self._lock = threading.Lock()
        self._encoder: Encoder | None = None

    def __call__(self, texts: Sequence[str]) -> "NDArray[float32]":
        """(n, d) float32."""
        from service.bundle import Bundle
        from service.encoder import Encoder

        with self._lock:
            if self._encoder is None:
                self._encoder = Encoder.open(Bundle.load(self._bundle), self._compute)
            return self._encoder.encode(texts).vectors


async def _ungraded(asked: Any, reply: Reply, twin: Reply | None = None, base: Reply | None = None) -> Grade:
    return Grade("pass", UNGRADED)


async def _nobody(call: Call) -> Reply:
    return Reply(error="cancelled")


def _nothing(texts: Sequence[str]) -> "NDArray[float32]":
    raise AssertionError("only to check that an encoder is needed")
