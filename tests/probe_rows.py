"""Rows of the probes' history, for tests of both databases."""

from dataclasses import replace

from service.records.probes import Counts, Print, ProbeResult, Round, Spent
from service.store import Store


def result(item: str = "q1", round: str = "bot/live/p/s/1", **changes: object) -> ProbeResult:
    values: dict[str, object] = {
        "time": 1000.5, "round": round, "model_name": "bot", "target": "live", "role": "live", "suite": "p/s", "kind": "golden",
        "category": "sums", "item": item, "variant": "", "group": "", "repeat": 0, "outcome": "pass", "score": 1.0, "failure": None,
        "grader": "exact/1:ab", "votes": {"judge": "PASS"}, "error": None, "status": 200, "attempts": 1, "first_token": 0.1, "seconds": 0.5,
        "tokens_in": 5, "tokens_out": 2, "tokens_cached": 0, "cost": 0.25, "finish": "stop", "model_reported": "m1", "fingerprint": None,
        "suspect_cached": False, "key": "k", "prompt_hash": "ph", "reply_hash": "rh", "reply_length": 3, "output": "größe",
    }  # fmt: skip
    return ProbeResult(**values | changes)  # type: ignore[arg-type]


def round_(number: int = 1, **changes: object) -> Round:
    values: dict[str, object] = {
        "id": f"bot/live/p/s/{number}", "model_name": "bot", "target": "live", "role": "live", "suite": "p/s", "kind": "golden",
        "items": 20, "scheduled": float(number), "started": number + 0.5, "ended": number + 9.0, "key": "k", "revision": "m1",
        "complete": True, "reason": "", "counts": {"sums": Counts(20, 1, 0, 0, 1, 0)}, "calls": 20, "tokens": 140, "money": 5.0,
    }  # fmt: skip
    return Round(**values | changes)  # type: ignore[arg-type]


def fingerprint(round: str, item: str = "q1") -> Print:
    return Print(round, item, 0, "live", "p/s", 1000.0 + int(round[1:]), "m1", None, 7, "digest", (("a", -0.5), ("b", -1.5)))


def exercise(store: Store) -> list[object]:
    """Everything that the runner does with a history; what it finds."""
    history = store.probes
    found: list[object] = [history.begin(round_(1, complete=False), 50.0), history.begin(round_(1), 60.0)]
    history.record([result("q1"), result("q2", group="a=b")])
    history.record([replace(result("q1"), outcome="fail", output="later"), result("q3", variant="typos", repeat=1)])
    found += [history.results("bot/live/p/s/1"), history.unfinished()]
    history.end([round_(1), round_(1, id="bot/live/p/s/1#m2", revision="m2")], "ended", 50.0)
    history.tell("bot/live/p/s/1")
    found += [history.unfinished(), history.known(["bot/live/p/s/1", "bot/live/p/s/2"])]
    history.end([round_(2, id="bot/live/p/s/now-2")], "manual", 50.0)
    history.end([round_(number) for number in range(3, 30)], "ended", 50.0)
    found += [
        history.rounds("live", "p/s", 5.0, 3),
        history.record_counts("live", "p/s", "k", 400),
        history.record_counts("live", "p/s", "x", 4),
    ]
    history.spend(20_000, "targets.live", Spent(3, 100, 0.5))
    history.spend(20_000, "targets.live", Spent(4, 120, 0.75))
    found += [history.spent(20_000), history.spent(20_001)]
    history.record([], [fingerprint("r1"), fingerprint("r1", "q2"), fingerprint("r2")])
    found += [
        history.prints("live", "p/s", 0.0, 2),
        history.prints("live", "p/s", 0.0, 1, newest=True),
        history.prints("live", "p/s", 1e9, 9),
    ]
    found += [sum(store.prune(10.0)), len(history.rounds(limit=100)), sum(store.prune(2000.0)), len(history.results()), history.rounds()]
    return found
