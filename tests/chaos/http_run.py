"""Exactly once over HTTP: posts with keys to workers that are killed; every acknowledged record counts once."""

import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from chaos.fleet import Fleet, Member
from ledger_suite import without_repeats

from service.config import load
from service.main import connect
from service.records import Entry, Prompt
from service.store import Store
from stub import StubScoring

MODELS = ("a", "b")
LENGTH = 5


@dataclass
class Posts(threading.Thread):
    """Posts one after the other, each until it is acknowledged, by any worker and with its key; now and then once more after that."""

    workers: Sequence[Member]
    seed: int
    stop: threading.Event
    knows_repeats: bool
    acknowledged: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    tries: int = 0
    repeats: int = 0
    late: int = 0
    failed: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name=f"posts-{self.seed}", daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            chance = random.Random(self.seed)
            while not self.stop.is_set():
                self._one(chance)
        except BaseException as error:
            self.failed.append(error)

    def _one(self, chance: random.Random) -> None:
        key = f"{self.seed}-{self.posts}"
        records = [{"text": f"prompt {key} {i}", "model": chance.choice(MODELS)} for i in range(chance.randrange(1, 20))]
        answer = self._until_acknowledged(chance, key, records)
        assert answer["counted"] == len(records), answer
        self.late += answer["late"]
        prompts = [Prompt("", r["text"], 0.0, r["model"]) for r in records]
        for prompt, strange in zip(prompts, StubScoring().score(prompts).strange.tolist(), strict=True):
            self.acknowledged[prompt.model_name] += 1
            self.strange[prompt.model_name] += strange
        self.posts += 1
        if chance.random() < 0.1:
            again = self._until_acknowledged(chance, key, records)
            assert again["duplicate"] or not self.knows_repeats, again
            self.repeats += 1

    def _until_acknowledged(self, chance: random.Random, key: str, records: list[dict[str, str]]) -> dict[str, int]:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            self.tries += 1
            url = f"http://127.0.0.1:{chance.choice(self.workers).port}/v1/prompts"
            headers = {"Content-Type": "application/json", "Idempotency-Key": key, "Authorization": "Bearer chaos"}
            try:
                request = urllib.request.Request(url, json.dumps(records).encode(), headers)
                with urllib.request.urlopen(request, timeout=10) as answer:
                    found: dict[str, int] = json.load(answer)
                    return found
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503):
                    raise
            except (OSError, ValueError, http.client.HTTPException):
                pass  # killed before or while it answered: whether it was counted is not known
            time.sleep(0.1)
        raise AssertionError(f"post {key} was not acknowledged within two minutes")


@dataclass(frozen=True)
class Outcome:
    """Records by model: acknowledged to the posts, in the log, and in closed windows; strange ones of the first two."""

    acknowledged: Counter[str]
    logged: Counter[str]
    closed: Counter[str]
    strange: Counter[str]
    logged_strange: Counter[str]
    posts: int
    tries: int
    repeats: int
    late: int
    told: list[str]


class HttpRun:
    """One run over a ledger."""

    def __init__(self, folder: Path, ledger: dict[str, object], workers: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.store_url = f"sqlite:///{folder}/history.db"
        self.knows_repeats = ledger["kind"] == "sql"
        windows = {"length": LENGTH, "grace": 5, "max_skew": 2, "idle_after": 10}
        config = {
            "source": {"kind": "http"},
            "ledger": ledger,
            "store": self.store_url,
            "models": {model: {"bundle": str(folder / "none")} for model in MODELS},
            "windows": windows,
        }
        self.fleet = Fleet(folder, config)
        self._count = workers
        self.workers: list[Member] = []
        self.posting: list[Posts] = []

    def kill(self, where: str | None = None) -> None:
        member = self.chance.choice(self.workers)
        if where is None:
            member.kill()
        else:
            member.arm(where, "die")

    def wait_posts(self, more: int, seconds: float = 60.0) -> None:
        """Until so many further posts were acknowledged."""
        end = time.monotonic() + seconds
        wanted = sum(posts.posts for posts in self.posting) + more
        while sum(posts.posts for posts in self.posting) < wanted:
            assert time.monotonic() < end, f"fewer than {more} posts were acknowledged in {seconds:.0f} s"
            time.sleep(0.1)

    def go(self, disturb: Callable[["HttpRun"], None]) -> Outcome:
        with self.fleet as fleet:
            alone = self._count == 1
            self.workers = [fleet.add(f"worker-{n}", "all" if alone else "worker") for n in range(self._count)]
            deciders = [] if alone else [fleet.add(f"decider-{n}", "decider") for n in range(2)]
            fleet.wait_until_up()
            stop = threading.Event()
            posting = self.posting = [Posts(self.workers, seed, stop, self.knows_repeats) for seed in range(4)]
            for posts in posting:
                posts.start()
            disturb(self)
            stop.set()
            for posts in posting:
                posts.join(150)
            failed = [error for posts in posting for error in posts.failed]
            if failed:
                raise failed[0]
            acknowledged = sum((posts.acknowledged for posts in posting), Counter())
            self._wait_until_closed(sum(acknowledged.values()))
            for member in [*self.workers, *deciders]:
                member.stop()
            told = fleet.told()
        logged, logged_strange = self._log()
        return Outcome(
            acknowledged,
            logged,
            self._closed(),
            sum((posts.strange for posts in posting), Counter()),
            logged_strange,
            sum(posts.posts for posts in posting),
            sum(posts.tries for posts in posting),
            sum(posts.repeats for posts in posting),
            sum(posts.late for posts in posting),
            told,
        )

    def _wait_until_closed(self, records: int) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end and sum(self._closed().values()) < records:
            time.sleep(1)

    def _closed(self) -> Counter[str]:
        store = Store.open(self.store_url)
        try:
            found: Counter[str] = Counter()
            for row in store.windows(slice="", limit=1_000_000):
                found[row.model_name] += row.n
            return found
        except sa.exc.OperationalError:
            return Counter()
        finally:
            store.close()

    def _log(self) -> tuple[Counter[str], Counter[str]]:
        """Sums of all deltas of the log, whatever the decider made of them; of a key that comes again only the first."""
        journal = connect.journal(load(self.fleet.config))
        end = time.monotonic() + 60
        while not journal.acquire(1.0):
            assert time.monotonic() < end, "the deciders are gone, and still their place is taken"
        entries: list[Entry] = []
        while found := journal.read(entries[-1].position + 1 if entries else 0, 5000, 1.0):
            entries += found
        journal.close()
        counted: Counter[str] = Counter()
        strange: Counter[str] = Counter()
        for entry in without_repeats(entries):
            if isinstance(entry.body, tuple) and entry.body[0].slice == "":
                counted[entry.body[0].model_name] += entry.body[1].n
                strange[entry.body[0].model_name] += entry.body[1].strange
        return counted, strange
