"""The demonstration's promises over many seeds: no page in a clean week, a page after the change, a closed incident after the attack.

The pool is scored once by the real bundle; then every seed learns its own four weeks and plays a clean week and the scripted week,
counted in bulk, through the real decider.

    python benchmarks/demo_seeds.py [--seeds 20]
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.sketch import sketch_groups
from service.config import Config
from service.decider.decider import Decider, Watched
from service.main.demo.history import learn_history
from service.main.demo.pool import Pool
from service.main.demo.script import CLEAN, EVENTS, JAILBREAK, MODEL, MONDAY, NEW_TOPIC, OWNER
from service.main.demo.story import CLOSES_WITHIN, clock
from service.main.demo.traffic import DAY, MINUTES, Event, play_day
from service.records import WHOLE, Command, DeltaKey, Entry, Incident, Progress, Report, Scores

BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Week:
    """What the decider made of one week.

    Attributes:
        incidents: as they were in the end, in order of opening.
        prompts: (10080,) int64, prompts in each window.
        design_effect: the larger of the two streams'.
    """

    incidents: Sequence[Incident]
    prompts: NDArray[np.int64]
    design_effect: float

    def opened(self, level: str, after: float = -np.inf, before: float = np.inf) -> list[Incident]:
        """Incidents of a level opened in (after, before], seconds of the week."""
        return [i for i in self.incidents if i.level == level and MONDAY + after < i.opened <= MONDAY + before]

    def independent(self) -> NDArray[np.float64]:
        """(10080,) n/d of each window."""
        return self.prompts / self.design_effect


def play_week(pool: Pool, scores: Scores, nulls: Mapping[str, float], seed: int, events: Sequence[Event], topics: int = 1) -> Week:
    """Learn four weeks of this seed, accept them, and judge one week. About five seconds."""
    config = Config.model_validate(
        {
            "source": {"kind": "file", "paths": ["-"]},
            "models": {MODEL: {"bundle": BUNDLE}},
            "windows": {"clock": "event", "grace": 0},
        }
    )
    decider = Decider({MODEL: Watched(BUNDLE, nulls, (), OWNER)}, config)
    history = learn_history(pool, scores, topics, seed)
    commands = [
        Command("learn", "baseline.learn", "benchmark", MONDAY, {"model": MODEL, **history}),
        Command("accept", "baseline.accept", "benchmark", MONDAY, {"model": MODEL, "reason": "four clean weeks"}),
    ]
    decider.absorb([Entry(position, command) for position, command in enumerate(commands)])
    incidents: dict[str, Incident] = {}
    prompts: list[int] = []
    position = len(commands)
    for day in range(7):
        entries = _entries(pool, scores, seed, day, events, topics, position)
        position += len(entries)
        decider.absorb(entries)
        for step in decider.close_due(None):
            incidents.update((incident.id, incident) for incident in step.incidents)
            prompts += [] if step.window is None else [sum(sketch.n for sketch in step.sketches.values())]
    accepted = decider.picture(active=True, now=MONDAY).models[0].baseline.accepted
    assert accepted is not None
    effect = max(float(rate.design_effect) for rate in accepted.rates.values())
    return Week(sorted(incidents.values(), key=lambda incident: incident.opened), np.array(prompts), effect)


def _entries(pool: Pool, scores: Scores, seed: int, day: int, events: Sequence[Event], topics: int, first: int) -> list[Entry]:
    """One day as the ledger would hold it: a sketch for each window, and a report."""
    traffic = play_day(pool, seed, day, events)
    text = traffic.text
    sketches = sketch_groups(
        ((traffic.time - day * DAY) // 60).astype(np.int64),
        MINUTES,
        p_value=scores.p_value[text],
        strange=scores.strange[text],
        far=scores.far[text],
        topic=scores.topic[text],
        tokens=scores.tokens[text],
        characters=scores.tokens[text],
        truncated=scores.truncated[text],
        language=np.zeros(text.size, np.int8),
        fourier=scores.fourier[text],
        whole=np.ones(MINUTES, bool),
        languages=1,
        topics=topics,
    )
    midnight = int(MONDAY) + day * DAY
    bodies = [(DeltaKey(BUNDLE, MODEL, WHOLE, midnight + 60 * minute), sketch) for minute, sketch in enumerate(sketches)]
    report = Report("benchmark", {}, {"week": Progress(float(midnight + DAY))}, frozenset(["week"]), 0.0)
    return [Entry(first + i, body) for i, body in enumerate([*bodies, report])]


def broken(clean: Week, week: Week) -> list[str]:
    """Promises that these two weeks do not keep."""
    ended = JAILBREAK.stop
    wrong = [f"clean week: page {clock(page.opened)}" for page in clean.opened("page")]
    wrong += [f"page {clock(page.opened)} before the change" for page in week.opened("page", before=NEW_TOPIC.start)]
    if not week.opened("page", NEW_TOPIC.start, NEW_TOPIC.stop):
        wrong.append("no page for the new topic")
    if not week.opened("page", JAILBREAK.start, ended):
        wrong.append("no page for the jailbreak burst")
    for level in ("page", "ticket"):
        for incident in week.opened(level, JAILBREAK.start, ended):
            if incident.closed is None or incident.closed > MONDAY + ended + CLOSES_WITHIN or incident.closed_by != "recovery":
                wrong.append(f"{incident.stream} {level} of {clock(incident.opened)} not closed by itself within two hours")
    return wrong


def main() -> int:
    from service.config import Compute
    from service.encoder import Encoder, Scorer
    from service.main.demo.bundle import example_bundle
    from service.main.demo.grammar import Grammar
    from service.main.demo.performance import POOL_SEED

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    bundle, _ = example_bundle()
    pool = Pool.write(Grammar.load(), POOL_SEED)
    scores = Scorer.open(bundle, Compute()).score(Encoder.open(bundle, Compute()).encode(pool.texts))
    begun, failed, delays, closings, minutes = time.monotonic(), 0, [], [], []
    print("seed     d  n/d median  least  tickets in clean week  page after change  last closed after attack  wrong")
    for seed in range(seeds):
        clean = play_week(pool, scores, bundle.nulls, seed, CLEAN, len(bundle.topics))
        week = play_week(pool, scores, bundle.nulls, seed, EVENTS, len(bundle.topics))
        wrong = broken(clean, week)
        failed += bool(wrong)
        paged = min((i.opened for i in week.opened("page", NEW_TOPIC.start)), default=np.nan) - MONDAY - NEW_TOPIC.start
        closed = max((i.closed or np.inf for i in week.incidents if i.opened > MONDAY + JAILBREAK.start), default=np.nan)
        after = closed - MONDAY - JAILBREAK.stop
        independent = week.independent()
        delays.append(paged / 60)
        closings.append(after / 60)
        minutes.append(independent)
        figures = f"{week.design_effect:5.2f} {np.median(independent):11.0f} {independent.min():6.0f} {len(clean.opened('ticket')):22d}"
        print(f"{seed:4d} {figures} {paged / 60:14.0f} min {after / 60:21.0f} min  {'; '.join(wrong) or '-'}", flush=True)
    all_windows = np.concatenate(minutes)
    print(
        f"{seeds - failed} of {seeds} seeds keep every promise; page after a median of {np.median(delays):.0f} min "
        f"(most {max(delays):.0f}); closed {np.median(closings):.0f} min after the attack (most {max(closings):.0f}); "
        f"n/d median {np.median(all_windows):.0f}, "
        f"least {all_windows.min():.0f}, at least 60 in {np.mean(all_windows >= 60):.3%} of windows; {time.monotonic() - begun:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
