from concurrent.futures import Future
from pathlib import Path

import pytest

from service.config import Fields, HttpSource, Model, Windows
from service.errors import ConfigError, Rewound
from service.records import Progress, Span
from service.source.decode import Decoder, Reason
from service.source.http import EPOCH_BITS, BadRecord, Closed, Counted, Full, TooMany
from service.source.http import HttpSource as Source

NOW = 1_700_000_040.0
FIRST = 1 << EPOCH_BITS
"""Number of the first post that a ledger ever sees from a process."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Ledger:
    def __init__(self, **positions: int) -> None:
        self.held = {f"http/{name}": position for name, position in positions.items()}

    def positions(self) -> dict[str, int]:
        return self.held

    def claim(self, partition: str, span: Span) -> None:
        if self.held.get(partition, 0) != span.start:
            raise Rewound
        self.held[partition] = span.stop


def source(*, max_waiting: int = 10, ledger: Ledger | None = None, clock: Clock | None = None) -> Source:
    decoder = Decoder(Fields(time="time"), {"bot": Model(bundle=Path("b"))}, 20.0)
    held = ledger or Ledger()
    settings = HttpSource(max_waiting=max_waiting)
    return Source(settings, decoder, Windows(), instance="a", ledger=held, clock=clock or Clock())


def record(text: str = "hello") -> bytes:
    return b'{"text": "%s"}' % text.encode()


def answered(future: "Future[Counted]") -> Counted:
    return future.result(timeout=0)


def test_a_post_is_answered_only_when_the_ledger_holds_it() -> None:
    src = source()
    future = src.offer([record("one"), record("two")])
    batch = src.poll(100, 0)
    assert [prompt.text for prompt in batch.prompts] == ["one", "two"]
    assert batch.urgent
    assert batch.positions == {"http/a": Span(FIRST, FIRST + 1)}
    assert not future.done()
    src.committed(batch)
    assert answered(future) == Counted(2, 0, False)
    assert src.waiting == 0


def test_each_post_is_a_part_of_its_own() -> None:
    src = source()
    src.offer([record(), record()], key="k")
    src.offer([record()])
    batch = src.poll(100, 0)
    assert [(part.start, part.stop, part.key) for part in batch.parts] == [(0, 2, "k"), (2, 3, None)]


def test_polling_never_splits_a_post_and_gives_at_least_one() -> None:
    src = source()
    src.offer([record()] * 5)
    src.offer([record()] * 2)
    assert len(src.poll(3, 0).prompts) == 5
    assert len(src.poll(3, 0).prompts) == 2
    assert not src.poll(3, 0).urgent


def test_a_bad_record_is_named_and_nothing_of_its_post_counts() -> None:
    src = source()
    with pytest.raises(BadRecord, match="record 1: no_text") as caught:
        src.offer([record(), b'{"question": "private words"}'])
    assert caught.value.index == 1
    assert caught.value.rejection.reason is Reason.NO_TEXT
    assert "private" not in str(caught.value)
    assert src.waiting == 0


def test_memory_is_bounded() -> None:
    src = source(max_waiting=3)
    src.offer([record()] * 2)
    with pytest.raises(Full, match="2 prompts are waiting"):
        src.offer([record()] * 2)
    with pytest.raises(TooMany, match="split it"):
        src.offer([record()] * 4)
    batch = src.poll(10, 0)
    with pytest.raises(Full):
        src.offer([record()] * 2)
    src.committed(batch)
    src.offer([record()] * 3)


def test_the_same_key_at_the_same_time_counts_once() -> None:
    src = source()
    first = src.offer([record()], key="k")
    second = src.offer([record()], key="k")
    batch = src.poll(10, 0)
    assert len(batch.prompts) == 1
    src.committed(batch)
    assert answered(first) == Counted(1)
    assert answered(second) == Counted(1, 0, duplicate=True)


def test_a_key_the_ledger_knows_is_answered_as_a_duplicate() -> None:
    src = source()
    future = src.offer([record()], key="k")
    src.committed(src.poll(10, 0), repeats=frozenset({"k"}))
    assert answered(future).duplicate


def test_late_prompts_are_told() -> None:
    clock = Clock()
    src = source(clock=clock)
    future = src.offer([record(), b'{"text": "x", "time": %f}' % (NOW - 15)])
    # NOW is 20 s into its window; only the window before it is closed.
    src.committed(src.poll(10, 0), watermark=NOW - 20 + 30)
    assert answered(future) == Counted(2, 0)
    clock.now += 300
    future = src.offer([record()])
    src.committed(src.poll(10, 0), watermark=clock.now + 600)
    assert answered(future) == Counted(1, 1)


def test_after_an_unknown_outcome_what_the_ledger_has_is_answered_and_the_rest_handed_over_again() -> None:
    ledger = Ledger()
    src = source(ledger=ledger)
    first, second = src.offer([record("one")]), src.offer([record("two")])
    src.poll(1, 0)
    src.poll(1, 0)
    third = src.offer([record("three")])
    ledger.held["http/a"] = FIRST + 1
    src.rewind()
    assert answered(first) == Counted(1)
    batch = src.poll(10, 0)
    assert [prompt.text for prompt in batch.prompts] == ["two", "three"]
    assert batch.positions == {"http/a": Span(FIRST + 1, FIRST + 3)}
    src.committed(batch)
    assert answered(second) == answered(third) == Counted(1)


@pytest.mark.parametrize(("stored", "first"), [(0, FIRST), (7, FIRST), (FIRST, 2 * FIRST), (5 * FIRST + 3, 6 * FIRST)])
def test_every_process_numbers_its_posts_in_an_epoch_of_its_own(stored: int, first: int) -> None:
    ledger = Ledger(a=stored)
    src = source(ledger=ledger)
    assert ledger.held == {"http/a": first}
    src.offer([record()])
    assert src.poll(1, 0).positions == {"http/a": Span(first, first + 1)}


def test_a_process_of_the_same_name_takes_over_and_the_older_one_says_so() -> None:
    ledger = Ledger()
    older = source(ledger=ledger)
    future = older.offer([record()])
    older.poll(1, 0)
    newer = source(ledger=ledger)
    with pytest.raises(ConfigError, match=r"^instance: another process named a has taken over http/a .* a name of its own$") as caught:
        older.rewind()
    older.fail(caught.value)
    with pytest.raises(Closed, match="same Idempotency-Key"):
        answered(future)
    newer.offer([record()])
    newer.poll(1, 0)
    newer.rewind()
    assert len(newer.poll(1, 0).prompts) == 1


def test_without_positions_every_post_has_a_key() -> None:
    decoder = Decoder(Fields(), {"bot": Model(bundle=Path("b"))}, 20.0)
    src = Source(HttpSource(), decoder, Windows(), instance="a", ledger=None, clock=Clock())
    src.offer([record()])
    assert src.poll(1, 0).parts[0].key is not None


def test_progress_does_not_pass_what_still_waits() -> None:
    clock = Clock()
    src = source(clock=clock)
    assert src.poll(1, 0).progress["http/a"].time == NOW - 20
    clock.now = NOW + 1
    src.offer([record()] * 2)
    src.offer([record()])
    clock.now = NOW + 100
    assert src.poll(1, 0).progress["http/a"].time == NOW + 1 - 20
    assert src.poll(1, 0).progress["http/a"].time == NOW + 100 - 20


def test_a_time_far_from_receipt_is_replaced_by_it() -> None:
    src = source()
    src.offer([b'{"text": "x", "time": 0}', b'{"text": "x", "time": "2099-01-01T00:00:00Z"}', b'{"text": "x", "time": %f}' % (NOW - 5)])
    assert [prompt.time for prompt in src.poll(10, 0).prompts] == [NOW, NOW, NOW - 5]


def test_a_dead_pipeline_answers_everything_that_waits() -> None:
    src = source()
    flying, queued = src.offer([record()]), src.offer([record()])
    src.poll(1, 0)
    src.fail(RuntimeError("disk full"))
    for future in (flying, queued):
        with pytest.raises(Closed):
            future.result(timeout=0)
    with pytest.raises(Closed):
        src.offer([record()])


def test_leaving_keeps_what_was_handed_over_and_holds_no_window_open() -> None:
    src = source()
    flying = src.offer([record()])
    batch = src.poll(10, 0)
    queued = src.offer([record()], key="k")
    assert src.leave() == {"http/a": Progress(NOW - 20, idle=True)}
    with pytest.raises(Closed, match="same Idempotency-Key"):
        answered(queued)
    with pytest.raises(Closed):
        src.offer([record()])
    src.committed(batch)
    assert answered(flying) == Counted(1)
    assert src.waiting == 0


def test_an_empty_post_is_answered_at_once() -> None:
    assert answered(source().offer([])) == Counted(0)
