"""A canary without a world: an endpoint that answers as it is told, a clock, a history in SQLite."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.canary.probe import Probe, Side
from service.canary.schedule import Schedule
from service.canary.turnstile import Turnstile
from service.records.probes import Call, Grade, Message, Reply


@dataclass(frozen=True)
class Item:
    item: str
    variant: str = ""
    group: str = ""
    repeat: int = 0
    category: str = "arithmetic"
    call: Call = field(default_factory=lambda: Call((Message("user", "?"),)))


def items(count: int, *variants: str) -> list[Item]:
    return [Item(f"q{i:03d}", variant, call=Call((Message("user", f"q{i:03d}"),))) for i in range(count) for variant in ("", *variants)]


async def grade(asked: object, reply: Reply, twin: Reply | None = None, base: Reply | None = None) -> Grade:
    """An answer says how it is graded."""
    if reply.text == "raise":
        raise ValueError("secret answer")
    bad = reply.text == "wrong" or (twin is not None and twin.text != reply.text)
    return (
        Grade("unscored", "fake@1")
        if reply.text == "?"
        else Grade("fail" if bad else "pass", "fake@1", failure="incorrect" if bad else None)
    )


class Clock:
    """Time that tests set; on a running loop it also passes."""

    def __init__(self, now: float = 1_772_409_600.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Endpoint:
    """Counts what it is asked; ``answers`` by text of the prompt, else right."""

    def __init__(self, name: str = "live", role: str = "live", places: int = 4) -> None:
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, Reply] = {}
        self.otherwise = Reply(text="right", model="m1", tokens_in=3, tokens_out=1, cost=0.5)
        self.delay = 0.0
        self.left = 10**9
        self.gate: asyncio.Event | None = None
        self.at_once, self.most_at_once = 0, 0
        self.side = Side(name, role, self.ask, Turnstile(places), lambda: "m1", lambda calls: calls <= self.left)

    async def ask(self, call: Call, run: str) -> Reply:
        text = call.messages[-1].content
        self.asked[text] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(self.delay)
            return self.answers.get(text, self.otherwise)
        finally:
            self.at_once -= 1


def probe(
    endpoint: Endpoint,
    questions: Sequence[Item],
    *,
    suite: str = "pack/suite",
    kind: str = "golden",
    every: float = 3600.0,
    beside: tuple[Side, ...] = (),
    grading: Callable[..., object] = grade,
    sensitive: bool = False,
) -> Probe:
    name = f"bot/{endpoint.side.target}/{suite}"
    return Probe(
        "bot",
        suite,
        "digest",
        kind,
        Schedule(name, every),
        endpoint.side,
        "fake@1",
        grading,
        lambda id: questions,
        len(questions),
        beside,
        sensitive,
    )
