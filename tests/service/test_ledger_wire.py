import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.sketch import BINS, Sketch
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
    return Sketch(*values, histogram=np.array(histogram), topics=np.array(counts))


def same(a: Sketch, b: Sketch) -> bool:
    sums = [getattr(a, f) == getattr(b, f) for f in ("n", "strange", "far", "truncated", "tokens", "characters")]
    return all(sums) and np.array_equal(a.histogram, b.histogram) and np.array_equal(a.topics, b.topics)


@given(st.builds(DeltaKey, st.text(), st.text(), st.text(), st.integers(-(2**40), 2**40)), sketches())
def test_delta_survives(key, sketch):
    read_key, read = wire.decode(wire.encode((key, sketch)))
    assert read_key == key
    assert same(read, sketch)
    assert read.topics.dtype == np.int64


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
    assert wire.decode(wire.encode(report)) == report


def test_command_survives():
    command = Command("c1", "baseline.learn", "ada", 12.5, {"model": "m", "blocks": {"strange": [[1, 2, 3]]}})
    assert wire.decode(wire.encode(command)) == command


@pytest.mark.parametrize("change", [{"v": 2}, {"v": None}, {"kind": "deltas"}])
def test_unknown_version_is_named_and_never_skipped(change):
    record = json.loads(wire.encode(Command("c1", "incident.ack", "ada", 1.0, {}))) | change
    with pytest.raises(UnknownVersion, match="this build reads"):
        wire.decode(json.dumps(record))
