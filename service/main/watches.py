"""Which suite is asked at which target, how often, and what it costs: the plan of a configuration's canaries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from service.canary.schedule import Schedule
from service.canary.share import Need, stretches
from service.config import Config, Endpoint
from service.main import grading
from service.probes.attacks import attack_allowed
from service.probes.pack import Pack, Suite
from service.probes.render import Cost, cost, render
from service.records.probes import ATTACKS, ProbeStream

UNSIGNED = b"tiltmeter: no key is set"
"""Derives nonces and digests where no key is set: they are then the same everywhere, and no secret."""

FINGERPRINTS = ("identity", "tokens", "logprobs", "answers")
"""Categories that a fingerprint suite counts."""

_BESIDE = ("base", "fallback", "previous")


@dataclass(frozen=True, slots=True)
class Watch:
    """One suite at one live target, as it is planned.

    Attributes:
        beside: names of the targets that are asked the same, the base model first.
        cost: of a round at one target. blocked: why it is not asked; None where it is. stretch: of its interval, by the budget.
    """

    model: str
    target: str
    beside: tuple[str, ...]
    pack: Pack
    suite: Suite
    every: float
    cost: Cost
    blocked: str | None = None
    stretch: int = 1

    @property
    def suite_name(self) -> str:
        """``<pack>/<suite>``."""
        return f"{self.pack.id}/{self.suite.id}"

    @property
    def name(self) -> str:
        """``<model>/<target>/<suite>``."""
        return f"{self.model}/{self.target}/{self.suite_name}"

    @property
    def rank(self) -> int:
        """As of a probe."""
        return 0 if self.suite.kind == "golden" else 1 if self.suite.kind in ATTACKS else 2

    def schedule(self, zone: str) -> Schedule:
        """When it is asked."""
        given = self.suite.schedule
        return Schedule(self.name, self.every, given.jitter, given.hours, zone, stretch=self.stretch)

    def streams(self) -> Iterator[ProbeStream]:
        """What the decider tests: a stream for each category, the suite's weight shared among them."""
        sizes: dict[str, int] = {}
        for asked in render(self.pack, self.suite, round_id="size", key=UNSIGNED):
            sizes[asked.category] = sizes.get(asked.category, 0) + 1
        if self.suite.kind == "fingerprint":
            sizes = dict.fromkeys(FINGERPRINTS, sum(sizes.values()))
        detector = self.suite.detector
        for category, size in sorted(sizes.items()):
            yield ProbeStream(
                model_name=self.model,
                target=self.target,
                suite=self.suite_name,
                category=category,
                kind=self.suite.kind,
                items=size,
                interval=self.every * self.stretch,
                weight=detector.weight / len(sizes),
                min_effect=detector.min_effect,
                severity=detector.severity,
                critical=detector.critical,
                paired=detector.paired and bool(self.beside) and self.suite.kind != "fingerprint",
                judges=grading.judges_asked(self.suite),
                must_have_data=detector.must_have_data,
            )


def watches_of(config: Config, pack: Pack, prompts: Mapping[str, str]) -> Iterator[Watch]:
    """Every suite of a pack at every live target; ``prompts``: target -> its system prompt."""
    for suite in pack.suites:
        for name, target in config.targets.items():
            if target.role != "live":
                continue
            beside = _beside(config, name) if suite.detector.paired else ()
            every = config.probes.every.get(f"{pack.id}/{suite.id}", suite.schedule.every)
            blocked = _blocked(config, suite, (name, *beside))
            yield Watch(target.monitors, name, beside, pack, suite, every, cost(pack, suite, prompts[name]), blocked)


def _beside(config: Config, live: str) -> tuple[str, ...]:
    """One target of each other role of the same model, the base model first."""
    model = config.targets[live].monitors
    found = {target.role: name for name, target in reversed(config.targets.items()) if target.monitors == model}
    return tuple(found[role] for role in _BESIDE if role in found)


def _blocked(config: Config, suite: Suite, names: Sequence[str]) -> str | None:
    for name in names:
        target = config.targets[name]
        if suite.kind in ATTACKS and (reason := attack_allowed(target, config.probes)):
            return f"{name}: {reason}"
        if suite.kind == "toolcall" and target.kind == "application":
            return f"{name}: tool calls are never sent to an application"
    return None


def stretched(config: Config, watches: Sequence[Watch]) -> Iterator[Watch]:
    """The same, asked less often or not at all where the budgets of a day do not reach."""
    zone = config.windows.time_zone
    needs = [
        Need(
            watch.name,
            watch.rank,
            watch.every,
            _parts(config, watch),
            watch.schedule(zone).rounds_a_day(),
        )
        for watch in watches
        if watch.blocked is None
    ]
    found = stretches(needs)
    for watch in watches:
        if watch.blocked is not None:
            yield watch
        elif (stretch := found[watch.name]) is None:
            yield replace(watch, blocked=f"{watch.target}: the day's budget has no room for its rounds of {watch.cost.calls} questions")
        else:
            yield replace(watch, stretch=stretch)


def _parts(config: Config, watch: Watch) -> dict[str, float]:
    """Endpoint -> part of its day that a round takes; of judges the calls alone, one an answer and sample."""
    parts = {f"targets.{name}": part_of_day(config.targets[name], watch.cost) for name in (watch.target, *watch.beside[:1])}
    for name in grading.judges_asked(watch.suite):
        judge = config.judges[name]
        parts[f"judges.{name}"] = part_of_day(judge, Cost(watch.cost.calls * judge.samples, 0, 0))
    return parts


def part_of_day(endpoint: Endpoint, round: Cost) -> float:
    """Part of an endpoint's daily budget that one round takes; inf where the budget is nothing."""
    daily = endpoint.daily
    spends = (
        (daily.calls, float(round.calls)),
        (daily.tokens, float(round.tokens_in + round.tokens_out)),
        (daily.money, money(endpoint, round)),
    )
    parts = [(spend / limit if limit else float("inf")) for limit, spend in spends if limit is not None and spend]
    return max(parts, default=0.0)


def money(endpoint: Endpoint, of: Cost) -> float:
    """What requests cost at most by the endpoint's prices."""
    return (of.tokens_in * endpoint.price.input + of.tokens_out * endpoint.price.output) / 1e6
