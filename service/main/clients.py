"""Clients of every target and judge, and the probes that ask them: what of the canaries holds connections."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from service.canary.calibration import Calibration
from service.canary.counting import Traffic
from service.canary.probe import Asked, Grading, Probe, Side
from service.canary.runner import Runner
from service.canary.schedule import Schedule
from service.canary.seams import Seams
from service.canary.turnstile import Turnstile
from service.config import Endpoint
from service.graders import Judge, calibrate, read_calibration
from service.logging import fields
from service.main import grading
from service.main.canaries import CALIBRATION_EVERY, Canaries
from service.main.watches import UNSIGNED, Watch
from service.probes import tags
from service.probes.budget import DAY, Budget, Spent
from service.probes.render import render
from service.probes.target import TargetClient
from service.records.probes import Call, Counts, Reply
from service.records.probes import Spent as Kept
from service.store import ProbeHistory

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # commands without a log say themselves which endpoint does not answer


class Opened:
    """Clients of every target and judge, and the probes that ask them. Close with :meth:`aclose`.

    Attributes:
        clients: ``targets.<name>`` and ``judges.<name>`` -> client; traffic: what each was asked since the start.
        probes: what the runner asks.
    """

    def __init__(self, canaries: Canaries) -> None:
        self._canaries, config = canaries, canaries.config
        endpoints: dict[str, Endpoint] = {f"targets.{name}": each for name, each in config.targets.items()}
        endpoints |= {f"judges.{name}": each for name, each in config.judges.items()}
        self.clients = {name: TargetClient(name.partition(".")[2], each, key=canaries.keys[name]) for name, each in endpoints.items()}
        self.traffic = {name: Traffic() for name in endpoints}
        self._in_flight = dict.fromkeys(endpoints, 0)
        self._history: ProbeHistory | None = None
        self.sides = {name: self._side(name) for name in config.targets}
        judges = {name: self._asker(f"judges.{name}") for name in config.judges}
        alike = {name: grading.Alike(model.bundle, config.compute) for name, model in config.models.items()}
        self.judges = [self._calibration(name, models, judges[name]) for name, models in self._canaries.judges.items()]
        self.probes = [
            self._probe(watch, grading.grading_of(watch.suite, config, judges, alike[watch.model])) for watch in canaries.watches
        ]

    def runner(self, history: ProbeHistory, seams: Seams) -> Runner:
        """What asks them."""
        return Runner(self.probes, history, seams, self.judges)

    def budget_left(self) -> dict[str, float]:
        """Endpoint -> smallest part of a daily limit that is still there."""
        return {name: client.budget.left() for name, client in self.clients.items()}

    def _calibration(self, name: str, models: tuple[str, ...], ask: grading.Ask) -> Calibration:
        settings, config = self._canaries.config.judges[name], self._canaries.config
        rows = read_calibration(settings.calibration)
        judge = Judge(ask, grading.judge_id(settings), settings.samples)

        async def calibrated() -> Counts:
            said = await calibrate(judge, rows, at_once=settings.rate.concurrency)
            graded = said.n - said.away - said.unparsed
            return Counts(n=graded, bad=graded - said.agree, unscored=said.unparsed, error=said.away)

        schedule = Schedule(f"judge/{name}", CALIBRATION_EVERY, zone=config.windows.time_zone)
        return Calibration(name, models, schedule, calibrated, judge.id, len(rows), len(rows) * settings.samples)

    async def prepare(self, history: ProbeHistory | None) -> None:
        """Take up what was spent today, and find out what every endpoint can do."""
        self._history = history
        if history is not None:
            today = int(time.time() // DAY)
            for name, spent in (await asyncio.to_thread(history.spent, today)).items():
                if name in self.clients:
                    limits = self.clients[name].settings.daily
                    self.clients[name].budget = Budget(limits, Spent(today, *spent))
        await asyncio.gather(*(self._meet(name, client) for name, client in self.clients.items()))

    async def aclose(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(client.aclose() for client in self.clients.values()))

    async def _meet(self, name: str, client: TargetClient) -> None:
        can = await client.probe_capabilities(self._tag(name, "capabilities"))
        told = {each: getattr(can, each) for each in ("stream", "logprobs", "seed", "usage", "json_schema", "tools")}
        if can.reached:
            _log.info("endpoint answers", extra=fields(endpoint=name, model=can.model, **told))
        else:
            _log.warning("endpoint does not answer", extra=fields(endpoint=name, reason=can.reason))
        await self._keep(name)

    def _side(self, name: str) -> Side:
        target = self._canaries.config.targets[name]
        client = self.clients[f"targets.{name}"]
        system, sampling = self._canaries.prompts[name], target.sampling.model_dump(exclude_none=True)
        return Side(
            target=name,
            role=target.role,
            ask=self._asker(f"targets.{name}"),
            turnstile=Turnstile(target.rate.concurrency),
            model=lambda: client.capabilities.model or target.model,
            room=lambda calls: _room(client, calls),
            can=lambda capability: bool(getattr(client.capabilities, capability)),
            settings={"system": hashlib.sha256(system.encode()).hexdigest()[:16], "sampling": json.dumps(sampling, sort_keys=True)},
        )

    def _asker(self, name: str) -> Callable[..., Awaitable[Reply]]:
        """Sends a call of a round; spend is kept before the request leaves, so that a killed process has spent what it sent."""
        client = self.clients[name]

        async def ask(call: Call, run: str = "judge") -> Reply:
            self._in_flight[name] += 1
            try:
                await self._keep(name)
                reply = await client.ask(call, self._tag(name, run))
                self.traffic[name].add(reply)
                return reply
            finally:
                self._in_flight[name] -= 1
                await self._keep(name)

        return ask

    def _tag(self, name: str, run: str) -> str:
        """Signed tag of a request to a target; judges are never asked through the tap."""
        key = self._canaries.key
        return tags.sign(name.partition(".")[2], run, time.time(), key) if key is not None and name.startswith("targets.") else ""

    async def _keep(self, name: str) -> None:
        if self._history is None:
            return
        spent = self.clients[name].budget.spent()
        kept = Kept(spent.calls + self._in_flight[name], spent.tokens, spent.money)
        try:
            await asyncio.to_thread(self._history.spend, spent.day, name, kept)
        except Exception as error:  # whatever a database may raise: answers wait for it elsewhere
            _log.warning("spend could not be kept", extra=fields(endpoint=name, error=type(error).__name__))

    def _probe(self, watch: Watch, graded: tuple[str, Grading]) -> Probe:
        config, target = self._canaries.config, self._canaries.config.targets[watch.target]
        key, system = self._canaries.key or UNSIGNED, self._canaries.prompts[watch.target]
        identity, grade = graded

        def questions(round_id: str) -> Sequence[Asked]:
            return render(watch.pack, watch.suite, round_id=round_id, key=key, system=system, sampling=target.sampling)

        return Probe(
            model_name=watch.model,
            suite=watch.suite_name,
            pack=watch.pack.digest(watch.suite),
            kind=watch.suite.kind,
            schedule=watch.schedule(config.windows.time_zone),
            live=self.sides[watch.target],
            graders=identity,
            grade=grade,
            questions=questions,
            size=watch.cost.calls,
            beside=tuple(self.sides[name] for name in watch.beside),
            sensitive=watch.pack.sensitive_suite(watch.suite),
            blocked=watch.blocked,
            needs=("tools",) if watch.suite.kind == "toolcall" else (),
        )


def _room(client: TargetClient, calls: int) -> bool:
    limit = client.settings.daily.calls
    return client.budget.left() > 0 and (limit is None or client.budget.spent().calls + calls <= limit)
