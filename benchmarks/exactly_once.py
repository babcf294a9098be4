"""Exactly once, whole size: 200,000 prompts, 4 partitions, 2 workers and 2 deciders on a real broker.

20 SIGKILLs at random moments (some armed inside a flush), a worker and the broker frozen for 15 and for 45 s inside a flush, rebalances
forced, old and new bundle side by side. About 13 minutes: ``python benchmarks/exactly_once.py [--seed N] [--prompts N] [--seconds N]``.
Status 1 when anything differs. Needs Kafka's jars (`make parts`).
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from chaos.kafka_run import Run  # noqa: E402
from chaos.traffic import Plan  # noqa: E402

from parts.kafka import Broker, jars, why_missing  # noqa: E402

FREEZES = {3: ("worker", 15, "offsets"), 7: ("broker", 15, "send"), 11: ("worker", 45, "commit"), 15: ("broker", 45, "commit")}


def disturb(run: Run) -> None:
    """Kills all along; freezes, rebalances and bundles in between."""
    run.wait(15)
    for number in range(20):
        if number in (5, 13, 18):
            run.rebalance(8)
        if number == 9:
            run.deploy("worker-1")
            run.wait_side_by_side(10, 60)
            run.deploy("worker-0")
        if number in FREEZES:
            what, seconds, where = FREEZES[number]
            (run.freeze_worker if what == "worker" else run.freeze_broker)(seconds, where)
        role = run.chance.choice(["worker", "worker", "decider"])
        inside = run.chance.choice([None, None, "send", "offsets", "commit"]) if role == "worker" else None
        run.kill(role, inside)
        run.wait(run.chance.uniform(12, 24))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompts", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    if reason := why_missing(ROOT):
        print(f"left out: {reason}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(jars(ROOT), Path(folder))
        broker.start()
        try:
            place = Path(folder) / "run"
            place.mkdir()
            run = Run(broker, place, Plan(options.prompts, 400), options.seconds, options.seed)
            outcome = run.go(disturb, settle=240)
        finally:
            broker.stop()
    print("\n".join(outcome.disturbances))
    print(*outcome.told, sep="\n")
    prompts = sum(n for n, _, _ in outcome.counted.values())
    print(f"prompts in closed windows: {prompts:,} of {options.prompts:,}; late: {outcome.late}; sums that differ: {len(outcome.wrong())}")
    same = outcome.verdicts == outcome.undisturbed
    print(f"verdicts: {len(outcome.verdicts):,}, equal to those of an undisturbed run: {same}")
    print(f"windows with both bundles: {outcome.side_by_side}")
    print("seconds until windows closed again after a kill:", [round(seconds, 1) for seconds in outcome.recovered])
    good = not outcome.wrong() and outcome.late == 0 and same and outcome.side_by_side >= 10
    return 0 if good and all(seconds <= 30 for seconds in outcome.recovered) else 1


if __name__ == "__main__":
    sys.exit(main())
