"""Prompts whose counts are known: event time runs faster than ours, and every text says how it will be scored."""

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from kafka import KafkaProducer

BASE = 1_700_000_040  # a multiple of 60
LENGTH = 60
GRACE = 30
PARTITIONS = 4
MODELS = ("a", "b")


@dataclass(frozen=True)
class Plan:
    """``prompts`` in ``windows`` windows. A third of the way through more of them turn strange, so that there is something to say."""

    prompts: int
    per_window: int
    seed: int = 7

    @property
    def windows(self) -> int:
        return self.prompts // self.per_window

    def record(self, number: int) -> tuple[int, float, dict[str, str]]:
        """Partition, event time and value of one prompt; neighbours in time differ in partition."""
        chance = random.Random(self.seed * 1_000_003 + number)
        window, place = divmod(number, self.per_window)
        text = self.text(chance, number, changed=window >= self.windows // 3)
        at = BASE + LENGTH * window + LENGTH * place / self.per_window
        return number % PARTITIONS, at, {"text": text, "model": MODELS[chance.random() < 0.4], "id": str(number)}

    def text(self, chance: random.Random, number: int, *, changed: bool) -> str:
        share = 0.15 if changed else 0.03
        return f"{'strange' if chance.random() < share else 'plain'} {number} " + "x" * chance.randrange(150, 250)

    def is_strange(self, text: str) -> bool:
        """As the workers will score it."""
        return text.startswith("strange")

    def ends(self) -> list[tuple[int, float, dict[str, str]]]:
        """One record in every partition two windows later: it closes what is before it."""
        at = BASE + LENGTH * (self.windows + 1) + LENGTH - 1.0
        return [(partition, at, {"text": "plain end", "model": "a", "id": f"end-{partition}"}) for partition in range(PARTITIONS)]

    def expected(self) -> dict[tuple[str, int], tuple[int, int, int]]:
        """(model, window start) -> prompts, strange ones, characters."""
        counts: Counter[tuple[str, int]] = Counter()
        strange: Counter[tuple[str, int]] = Counter()
        characters: Counter[tuple[str, int]] = Counter()
        for number in range(self.prompts):
            _, at, value = self.record(number)
            key = (value["model"], int(at // LENGTH * LENGTH))
            counts[key] += 1
            strange[key] += self.is_strange(value["text"])
            characters[key] += len(value["text"])
        return {key: (n, strange[key], characters[key]) for key, n in counts.items()}


@dataclass
class Producer(threading.Thread):
    """Sends a plan to a topic at a steady pace, in order within every partition."""

    bootstrap: str
    topic: str
    plan: Plan
    seconds: float
    sent: list[tuple[float, float]] = field(default_factory=list)
    failed: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name="producer", daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        try:
            self._send()
        except BaseException as error:
            self.failed.append(error)

    def _send(self) -> None:
        patience = {"max_block_ms": 120_000, "delivery_timeout_ms": 300_000}
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=20, **patience)
        started, futures = time.monotonic(), []
        for number in range(self.plan.prompts):
            due = started + self.seconds * number / self.plan.prompts
            if (wait := due - time.monotonic()) > 0.01:
                time.sleep(wait)
            partition, at, value = self.plan.record(number)
            futures.append(self._put(producer, partition, at, value))
            if number % self.plan.per_window == 0:
                self.sent.append((time.monotonic(), at))
        futures += [self._put(producer, *end) for end in self.plan.ends()]
        for future in futures:
            future.get(timeout=300)
        producer.close()

    def _put(self, producer: KafkaProducer, partition: int, at: float, value: dict[str, str]) -> object:
        return producer.send(self.topic, json.dumps(value).encode(), partition=partition, timestamp_ms=int(at * 1000))
