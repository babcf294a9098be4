"""Exactly once on a real broker: produce, disturb, compare. Used by the test (small) and by the benchmark (whole)."""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from chaos import reference
from chaos.fleet import Fleet, Member
from chaos.serve import watched
from chaos.traffic import BASE, GRACE, LENGTH, MODELS, PARTITIONS, Plan, Producer

from parts.kafka import Broker
from service.config import load
from service.decider.decider import Decider
from service.main import connect
from service.records import Prompt, Verdict
from service.store import Store

OLD, NEW = {"b": "bundle-of-b"}, {"b": "new-bundle-of-b"}


@dataclass
class Outcome:
    """What was found; ``recovered``: seconds from a kill until a window that was open then had closed."""

    expected: dict[tuple[str, int], tuple[int, int, int]]
    counted: dict[tuple[str, int], tuple[int, int, int]]
    side_by_side: int
    verdicts: list[Verdict]
    undisturbed: list[Verdict]
    late: int
    recovered: list[float]
    disturbances: list[str]
    told: list[str] = field(default_factory=list)

    def wrong(self) -> dict[tuple[str, int], tuple[object, object]]:
        keys = self.expected.keys() | self.counted.keys()
        return {k: (self.expected.get(k), self.counted.get(k)) for k in sorted(keys) if self.expected.get(k) != self.counted.get(k)}


class Run:
    """One run. ``disturb`` is called while the producer works, with this object; what it did is noted.

    ``ledger``: URL of a SQL ledger; the Kafka ledger without. ``bundle``: scores both models; stub scores without.
    """

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        plan: Plan,
        seconds: float,
        seed: int,
        *,
        ledger: str | None = None,
        bundle: Path | None = None,
    ) -> None:
        name = uuid.uuid4().hex[:8]
        self.broker, self.plan, self.chance = broker, plan, random.Random(seed)
        self.topic = f"prompts-{name}"
        broker.create_topic(self.topic, PARTITIONS, retention_ms="-1")
        self.store_url = f"sqlite:///{folder}/history.db"
        kafka = {"bootstrap_servers": broker.bootstrap}
        config = {
            "source": {"kind": "kafka", "topic": self.topic, "group": f"group-{name}", "start": "earliest", **kafka},
            "ledger": {"kind": "sql", "url": ledger}
            if ledger
            else {"kind": "kafka", "prefix": f"tiltmeter-{name}", "create_topics": True, **kafka},
            "store": self.store_url,
            "models": {model: {"bundle": str(bundle or folder / "none")} for model in MODELS},
            "windows": {"length": LENGTH, "grace": GRACE, "idle_after": 300, "max_skew": 20, "clock": "event"},
            "detection": {"first_contact": {"duration": 600, "prompts": 500}},
        }
        self.fleet = Fleet(folder, config)
        self.folder = folder
        self.producer = Producer(broker.bootstrap, self.topic, plan, seconds)
        self.notes: list[tuple[float, str, bool]] = []
        self.closed: list[tuple[float, int]] = []

    def note(self, what: str, *, kill: bool = False) -> None:
        self.notes.append((time.monotonic(), what, kill))

    def go(self, disturb: Callable[["Run"], None], settle: float = 150.0) -> Outcome:
        with self.fleet as fleet:
            for number in range(2):
                fleet.add(f"worker-{number}", "worker", OLD)
                fleet.add(f"decider-{number}", "decider")
            fleet.wait_until_up()
            self.producer.start()
            disturb(self)
            self._finish(settle)
            for member in fleet.members.values():
                member.stop()
            late = self._late()
            told = fleet.told("unknown version")
        return self._compare(late, told)

    # Disturbances

    def kill(self, role: str, where: str | None = None) -> None:
        """SIGKILL at a random moment, or inside a flush."""
        member = self.fleet.pick(self.chance, role)
        if where is None:
            member.kill()
        else:
            member.arm(where, "die")
            member.wait_for("never", 8)
        self.note(f"killed {member.name} {where or ''}", kill=True)

    def freeze_worker(self, seconds: float, where: str) -> None:
        member = self.fleet.pick(self.chance, "worker")
        done = member.freeze(seconds, where)
        self.note(f"froze {member.name} before {where} for {seconds:.0f} s" if done else f"{member.name} had no flush to be frozen in")

    def freeze_broker(self, seconds: float, where: str) -> None:
        member = self.fleet.pick(self.chance, "worker")
        member.arm(where, "hold")
        inside = member.wait_for("holding", 20)
        with self.broker.frozen():
            (member.folder / "go").touch()
            time.sleep(seconds)
        self.note(f"froze the broker for {seconds:.0f} s, {member.name} {'before ' + where if inside else 'not in a flush'}")

    def rebalance(self, seconds: float = 6.0) -> None:
        """A third worker comes and goes."""
        visitor: Member = self.fleet.add(f"visitor-{len(self.notes)}", "worker", OLD)
        end = time.monotonic() + 40
        while not visitor.up() and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(seconds)
        status = visitor.stop()
        del self.fleet.members[visitor.name]
        self.note(f"{visitor.name} came and went with status {status}")

    def deploy(self, name: str) -> None:
        """Restart one worker with a new bundle for model b."""
        member = self.fleet.members[name]
        member.bundles = NEW
        member.kill()
        self.note(f"{name} restarted with the new bundle")

    def wait_side_by_side(self, windows: int, seconds: float) -> None:
        """Until so many closed windows hold both bundles of model b."""
        both = "SELECT window_start FROM windows WHERE model_name = 'b' AND slice = '' GROUP BY 1 HAVING count(*) = 2"
        query = f"SELECT count(*) FROM ({both})"
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._ask(query) < windows:
            self.wait(1)

    # Outcome

    def watch(self) -> int:
        """Newest closed window; noted when it is new."""
        newest = self._ask("SELECT max(window_start) FROM windows")
        if not self.closed or newest > self.closed[-1][1]:
            self.closed.append((time.monotonic(), newest))
        return newest

    def _ask(self, query: str) -> int:
        """One number from the history; 0 while it is not there yet."""
        if not (self.folder / "history.db").exists():
            return 0
        engine = sa.create_engine(self.store_url)
        try:
            with engine.connect() as connection:
                return connection.scalar(sa.text(query)) or 0
        except sa.exc.OperationalError:
            return 0
        finally:
            engine.dispose()

    def wait(self, seconds: float) -> None:
        """Let it work, and watch windows close."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.watch()
            time.sleep(min(0.5, left))

    def _finish(self, settle: float) -> None:
        last = BASE + LENGTH * (self.plan.windows - 1)
        while self.producer.is_alive():
            self.wait(0.5)
        end = time.monotonic() + settle
        while self.watch() < last and time.monotonic() < end:
            time.sleep(0.5)

    def _late(self) -> int:
        """Prompts left out as late or refused, as the last checkpoint has it."""
        config = load(self.fleet.config)
        journal = connect.journal(config)
        saved = journal.restore()
        journal.close()
        assert saved is not None, "no checkpoint was written"
        decider = Decider(watched(config), config)
        decider.restore(saved.state)
        picture = decider.picture(active=False, now=0.0)
        return sum(picture.late.values()) + sum(picture.refused.values())

    def _compare(self, late: float, told: list[str]) -> Outcome:
        if self.producer.failed:
            raise self.producer.failed[0]
        store = Store.open(self.store_url)
        last = BASE + LENGTH * self.plan.windows
        rows = [row for row in store.windows(slice="", limit=1_000_000) if row.window_start < last]
        counted: dict[tuple[str, int], tuple[int, int, int]] = {}
        bundles: dict[int, set[str]] = {}
        for row in rows:
            key = (row.model_name, int(row.window_start))
            n, strange, characters = counted.get(key, (0, 0, 0))
            counted[key] = (n + row.n, strange + row.strange, characters + row.characters)
            if row.model_name == "b":
                bundles.setdefault(int(row.window_start), set()).add(row.bundle)
        found = [v for v in store.verdicts(model="a", limit=1_000_000) if v.window_start < last]
        store.close()
        wanted = [v for v in self._undisturbed() if v.model_name == "a" and v.window_start < last]
        order = {"key": lambda v: (v.window_start, v.stream)}
        return Outcome(
            self.plan.expected(),
            counted,
            sum(len(names) == 2 for names in bundles.values()),
            sorted(found, **order),
            sorted(wanted, **order),
            late,
            self._recovered(),
            [what for _, what, _ in self.notes],
            told,
        )

    def _undisturbed(self) -> list[Verdict]:
        records = [self.plan.record(number) for number in range(self.plan.prompts)] + self.plan.ends()
        prompts = [Prompt(value["id"], value["text"], at, value["model"]) for _, at, value in records]
        return reference.verdicts(prompts, load(self.fleet.config), self.folder)

    def _recovered(self) -> list[float]:
        """For every kill with nothing else until then: seconds until the window produced at the kill had closed."""
        found = []
        for place, (at, _, kill) in enumerate(self.notes):
            produced = max((event for sent, event in self.producer.sent if sent <= at), default=None)
            if not kill or produced is None:
                continue
            done = next((seen for seen, start in self.closed if start >= produced // LENGTH * LENGTH), None)
            if done is not None and done <= at:
                continue  # everything produced by then had closed already
            following = self.notes[place + 1][0] if place + 1 < len(self.notes) else float("inf")
            if done is not None and done < following:
                found.append(done - at)
            elif done is None:
                found.append(float("inf"))
        return found
