"""What ``check-config`` says of canaries: what is asked of each endpoint on a day, what is not and why, and what they may page."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from service.api import words
from service.config import Config, Endpoint
from service.decider.budget import Weighted
from service.decider.probing.layout import may_page, plan
from service.main import grading
from service.main.canaries import CALIBRATION_EVERY, Canaries
from service.main.watches import Watch, money
from service.probes.forms import Capabilities
from service.probes.render import Cost

if TYPE_CHECKING:
    from service.source.access import Finding


@dataclass(frozen=True, slots=True)
class Load:
    """What an endpoint is asked on an average day."""

    suites: int = 0
    calls: float = 0.0
    tokens: float = 0.0
    money: float = 0.0

    def plus(self, rounds: float, each: Cost, endpoint: Endpoint) -> "Load":
        """With a suite more."""
        tokens = rounds * (each.tokens_in + each.tokens_out)
        return Load(self.suites + 1, self.calls + rounds * each.calls, self.tokens + tokens, self.money + rounds * money(endpoint, each))


def loads(canaries: Canaries) -> dict[str, Load]:
    """Endpoint -> what it is asked, by the plan: retries not counted. Of a side beside the live one as if it were asked in each round."""
    config = canaries.config
    found = {f"targets.{name}": Load() for name in config.targets} | {f"judges.{name}": Load() for name in config.judges}
    for watch in canaries.watches:
        if watch.blocked is not None:
            continue
        rounds = watch.schedule(config.windows.time_zone).rounds_a_day()
        for name in (watch.target, *watch.beside[:1]):
            found[f"targets.{name}"] = found[f"targets.{name}"].plus(rounds, watch.cost, config.targets[name])
        for name in grading.judges_asked(watch.suite):
            judge = config.judges[name]
            asked = Cost(watch.cost.calls * judge.samples, watch.cost.tokens_in + watch.cost.tokens_out, watch.cost.calls * 64)
            found[f"judges.{name}"] = found[f"judges.{name}"].plus(rounds, asked, judge)
    for name in canaries.judges:
        judge = config.judges[name]
        found[f"judges.{name}"] = found[f"judges.{name}"].plus(86_400 / CALIBRATION_EVERY, Cost(40 * judge.samples, 8000, 2560), judge)
    return found


def endpoints(canaries: Canaries) -> Table:
    """A line for each target and judge."""
    table = Table("endpoint", "suites", "calls a day", "of", "tokens a day", "of", "money a day", "of", box=None)
    config = canaries.config
    for name, load in loads(canaries).items():
        kind, _, key = name.partition(".")
        daily = (config.targets[key] if kind == "targets" else config.judges[key]).daily
        limits = (daily.calls, daily.tokens, daily.money)
        cells = (f"{load.calls:,.0f}", f"{load.tokens:,.0f}", f"{load.money:,.2f}")
        table.add_row(name, str(load.suites), *(each for pair in zip(cells, map(_limit, limits), strict=True) for each in pair))
    return table


def _limit(value: float | None) -> str:
    return "no limit" if value is None else f"{value:,g}"


def suites(canaries: Canaries) -> Table:
    """A line for each suite at each target."""
    table = Table("suite", "target", "beside", "questions", "every", "", box=None)
    for watch in canaries.watches:
        every = "-" if watch.blocked else words.span(watch.every * watch.stretch)
        table.add_row(watch.suite_name, watch.target, ", ".join(watch.beside) or "-", str(watch.cost.calls), every, _remark(watch))
    return table


def _remark(watch: Watch) -> str:
    if watch.blocked is not None:
        return f"[yellow]not asked: {watch.blocked}[/yellow]"
    if watch.stretch > 1:
        return f"[yellow]the day's budget has no room for every {words.span(watch.every)}[/yellow]"
    return ""


def notes(canaries: Canaries, models: Mapping[str, Weighted]) -> Iterator[str]:
    """What pages the probes get, and what works and is perhaps not meant. Raises ConfigError for a budget of over one alarm a round."""
    config = canaries.config
    planned = plan(canaries.streams, models, config)
    for name in dict.fromkeys(stream.model_name for stream in canaries.streams):
        mine = [each for each in planned if each.of.model_name == name]
        part = config.probes.weight * models[name].weight / sum(model.weight for model in models.values())
        pages = (
            f"one false page per {words.span(config.budgets.page / part)}, one false ticket per {words.span(config.budgets.ticket / part)}"
        )
        yield f"probes of {name} have {part:.1%} of both budgets: {len(mine)} streams, {sum(map(may_page, mine))} of them may page; {pages}"
    yield from _same(config)
    if canaries.key is None and any(watch.blocked is None for watch in canaries.watches):
        yield "no key signs canaries (probes.tag_key_file or TILTMETER_CANARY_KEY): where they come in, they count as prompts"


def answers(canaries: Canaries) -> "list[Finding]":
    """Whether each target and judge answers, by its URL, key and model: three small requests or a few more, in no budget's count."""
    return asyncio.run(_answers(canaries))


async def _answers(canaries: Canaries) -> "list[Finding]":
    from service.main.clients import Opened

    opened = Opened(canaries)
    try:
        await opened.prepare(None)
        return [_finding(name, client.capabilities) for name, client in opened.clients.items()]
    finally:
        await opened.aclose()


def _finding(name: str, can: Capabilities) -> "Finding":
    from service.source.access import Finding

    if can.reached:
        return Finding(True, f"{name} answers{f' as {can.model}' if can.model else ''}")
    return Finding(False, f"{name} does not answer: {can.reason}")


def _same(config: Config) -> Iterator[str]:
    """Judges that judge themselves."""
    for judge, settings in config.judges.items():
        for name, target in config.targets.items():
            if (settings.url.rstrip("/"), settings.model) == (target.url.rstrip("/"), target.model):
                yield f"judge {judge} is the model of target {name}: models like their own answers; take another family"
