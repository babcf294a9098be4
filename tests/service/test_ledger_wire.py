import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.sketch import BINS, LENGTHS, Sketch
from detectors.words import NO_WORDS, count_codes
from service.ledger import wire
from service.ledger.contract import UnknownVersion
from service.records import Command, DeltaKey, Progress, Report, Span

COUNT = st.integers(0, 2**40)


@st.composite
def sketches(draw):
    topics = draw(st.integers(0, 40))
    values = draw(st.lists(COUNT, min_size=6, max_size=6))
    histogram = draw(st.lists(COUNT, min_size=BINS, max_size=BINS))
    counts = draw(st.lists(COUNT, min_size=topics + 1, max_size=topics + 1))
    lengths = draw(st.lists(COUNT, min_size=LENGTHS, max_size=LENGTHS))
    languages = draw(st.lists(COUNT, max_size=5))
    fourier = draw(st.lists(st.integers(-(2**40), 2**40), max_size=8))
    words = count_codes(np.array(draw(st.lists(st.integers(0, 2**30), max_size=20)), np.int64))
    return Sketch(*values, *(np.array(table, np.int64) for table in (histogram, counts, lengths, languages, fourier)), words)


def same(a: Sketch, b: Sketch) -> bool:
    sums = [getattr(a, f) == getattr(b, f) for f in ("n", "strange", "far", "truncated", "tokens", "characters")]
    tables = ("histogram", "topics", "lengths", "languages", "fourier", "words")
    return all(sums) and all(np.array_equal(getattr(a, f), getattr(b, f)) for f in tables)


@given(st.builds(DeltaKey, st.text(), st.text(), st.text(), st.integers(-(2**40), 2**40)), sketches())
def test_delta_survives(key, sketch):
    (read_key, read), idempotency = wire.decode(wire.encode((key, sketch), "post-1"))
    assert (read_key, idempotency) == (key, "post-1")
    assert same(read, sketch)
    assert read.topics.dtype == np.int64


@given(st.builds(DeltaKey, st.text(), st.text(), st.text(), st.integers(-(2**40), 2**40)), sketches())
def test_a_delta_of_version_2_is_read_without_words(key, sketch):
    record = json.loads(wire.encode((key, replace(sketch, words=NO_WORDS))))
    assert record.pop("v") == 3
    assert "words" not in record
    (_, read), _ = wire.decode(json.dumps(record | {"v": 2}))
    assert same(read, replace(sketch, words=NO_WORDS))
    assert same(read + sketch, sketch + read)


def test_words_of_a_busy_minute_stay_small():
    # 1,000 prompts/s of which 5% lie outside all topics, each with eight of 2,000 words as frequent as words are.
    rng = np.random.default_rng(1)
    share = 1 / np.arange(1, 2001)
    words = rng.choice(2000, 24_000, p=share / share.sum())
    sketch = wire.decode(wire.encode((DeltaKey("B", "bot", "", 0), empty(count_codes(16 * words + 16 + rng.integers(0, 16, 24_000))))))[0][
        1
    ]
    assert len(wire.pack([wire.encode((DeltaKey("B", "bot", "", 0), sketch))])) < 40_000


def empty(words):
    sizes = BINS, 2, LENGTHS, 2, 0
    return Sketch(0, 0, 0, 0, 0, 0, *(np.zeros(size, np.int64) for size in sizes), words)


NAMES = st.text(min_size=1, max_size=12)
TIMES = st.floats(allow_nan=False, allow_infinity=False) | st.just(-math.inf)


@given(
    st.builds(
        Report,
        NAMES,
        st.dictionaries(NAMES, st.builds(Span, COUNT, COUNT)),
        st.dictionaries(NAMES, st.builds(Progress, TIMES, st.booleans(), st.booleans())),
        st.frozensets(NAMES),
        st.floats(0, 1e10),
    )
)
def test_report_survives(report):
    assert wire.decode(wire.encode(report)) == (report, None)


def test_command_survives():
    command = Command("c1", "baseline.learn", "ada", 12.5, {"model": "m", "blocks": {"strange": [[1, 2, 3]]}})
    assert wire.decode(wire.encode(command)) == (command, None)


@pytest.mark.parametrize("change", [{"v": 1}, {"v": 4}, {"v": None}, {"kind": "deltas"}])
def test_unknown_version_is_named_and_never_skipped(change):
    record = json.loads(wire.encode(Command("c1", "incident.ack", "ada", 1.0, {}))) | change
    with pytest.raises(UnknownVersion, match="this build reads"):
        wire.decode(json.dumps(record))


@given(st.lists(st.binary(min_size=1).map(lambda b: b.replace(b"\n", b"-")), max_size=30))
def test_blocks_hold_everything_in_order(bodies):
    assert [body for block in wire.blocks(bodies) for body in wire.unpack(block)] == bodies


def test_blocks_stay_small():
    bodies = [bytes([32 + i % 200]) * 500 for i in range(3 * wire.BLOCK_ENTRIES)]
    unpacked = [wire.unpack(block) for block in wire.blocks(bodies)]
    assert [body for some in unpacked for body in some] == bodies
    assert all(len(some) <= wire.BLOCK_ENTRIES and sum(map(len, some)) <= wire.BLOCK_BYTES for some in unpacked)


def test_a_block_of_another_format_is_named():
    with pytest.raises(UnknownVersion, match="format 02"):
        wire.unpack(b"\x02abc")
