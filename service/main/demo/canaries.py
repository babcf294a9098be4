"""What the demonstration asks of its two toy models, and the four weeks of rounds that lie before the week."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.canary.probe import Probe
from service.canary.round import Conduct, conduct
from service.canary.schedule import Schedule, Slot
from service.main.canaries import Canaries
from service.main.clients import Opened
from service.main.demo.finetune import SYSTEM
from service.main.demo.script import HISTORY_DAYS, MODEL, MONDAY
from service.main.demo.toys import BASE, GOOD, Toys, straight, write_golden
from service.main.demo.traffic import DAY
from service.main.watches import UNSIGNED
from service.records.probes import Print, ProbeResult, Round

PACKS = ("golden", "capability", "injection", "overrefusal")
EVERY = {"golden/own": "6 h", "capability/general": "6 h", "injection/planted": "6 h", "injection/leak": "12 h"}
"""Oftener than the packs say: a week is short."""


def settings(toys: Toys, folder: Path) -> dict[str, Any]:
    """``targets``, ``probes`` and ``gates`` of the configuration; the golden items and the system prompt are written to ``folder``."""
    golden, prompt = folder / "golden.jsonl", folder / "system.txt"
    write_golden(golden)
    prompt.write_text(SYSTEM, encoding="utf-8")
    common = {
        "monitors": MODEL,
        "system_prompt_file": prompt,
        "sampling": {"temperature": 0},
        "stream": False,
        "rate": {"per_minute": 1e6, "concurrency": 8},  # in a minute of the demonstration hours go by
        "daily": {"calls": 5_000},  # of the clock on the wall: the whole week
    }
    return {
        "targets": {
            "assistant": {**common, "url": toys.url("live"), "model": GOOD.model},
            "base": {**common, "url": toys.url("base"), "model": BASE.model, "role": "base"},
        },
        "probes": {
            "packs": list(PACKS),
            "golden": golden,
            "every": EVERY,
            "acknowledge_attacks": True,
            "allowed_hosts": ["127.0.0.1"],
        },
        "gates": {"release": {"model": MODEL, "stage": "A"}},
    }


def past_rounds(canaries: Canaries, toys: Toys) -> list[Round]:
    """Four weeks of rounds, asked, graded and counted as any round, but not over the network. About three seconds for 400 rounds."""
    return asyncio.run(_past_rounds(canaries, toys))


async def _past_rounds(canaries: Canaries, toys: Toys) -> list[Round]:
    opened = Opened(canaries)
    try:
        found = [
            round
            for probe in opened.probes
            for slot in slots(probe.schedule, MONDAY - HISTORY_DAYS * DAY, MONDAY)
            for round in await asked(probe, slot, toys)
        ]
    finally:
        await opened.aclose()
    return sorted(found, key=lambda round: round.scheduled)


async def asked(probe: Probe, slot: Slot, toys: Toys) -> list[Round]:
    """One round as the models answer it now."""
    live, base = replace(probe.live, ask=straight(toys.live)), replace(probe.beside[0], ask=straight(toys.base))
    probe = replace(probe, live=live, beside=(base,))
    how = Conduct(_keep_nothing, lambda: slot.scheduled, UNSIGNED)
    id = probe.round_id(probe.live, slot.scheduled)
    return await conduct(probe, base, id, slot.scheduled, slot.deadline, probe.questions(id), (), how)


async def _keep_nothing(results: Sequence[ProbeResult], prints: Sequence[Print]) -> None:
    """Single answers of the past are not kept."""


def slots(schedule: Schedule, since: float, until: float) -> Iterator[Slot]:
    """Every round that is due in (since, until), in order."""
    slot = schedule.upcoming(since)
    while slot is not None and slot.scheduled < until:
        yield slot
        slot = schedule.upcoming(slot.scheduled)
