"""The loop against a fake source and a fake ledger, both at the seams."""

import dataclasses
import functools
import itertools
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import Windows
from service.errors import ConfigError, Rewound
from service.ledger.contract import Unavailable
from service.pipeline.pipeline import FLUSH_PROMPTS, Pipeline
from service.records import Batch, Part, Progress, Prompt, Span
from stub import StubScoring

WINDOWS = Windows(length=60, grace=30, max_skew=20, max_open=3)


class ListSource:
    """One partition of prompts; every poll hands over the next ``step`` of them."""

    def __init__(self, prompts, step=7, ledger=None, ends=True):
        self.prompts, self.step, self.ledger, self.ends = prompts, step, ledger, ends
        self.at = 0
        self.rewinds = 0
        self.answered = []
        self.paused = frozenset()
        self.errors = {}
        self.polls = 0

    def poll(self, limit, timeout):
        self.polls += 1
        if error := self.errors.pop(self.polls, None):
            raise error
        start = self.at
        stop = start if self.paused else min(len(self.prompts), start + min(limit, self.step))
        self.at = stop
        rows = self.prompts[start:stop]
        reached = max((p.time for p in self.prompts[:stop]), default=-math.inf)
        progress = {"in/0": Progress(reached, ended=self.ends and stop == len(self.prompts))}
        positions = {"in/0": Span(start, stop)} if stop > start else {}
        return Batch(rows, positions, progress, frozenset({"in/0"}), lease=f"lease {self.polls}")

    def rewind(self):
        self.rewinds += 1
        self.at = self.ledger.position

    def committed(self, batch, repeats, watermark):
        self.answered.append((batch, repeats, watermark))

    def close(self):
        pass


class ListLedger:
    """Keeps what is appended; ``errors`` maps the number of an append to what it raises, before or after it counts."""

    def __init__(self):
        self.position = 0
        self.appends = []
        self.tries = 0
        self.errors = {}
        self.keys = set()
        self.mark = -math.inf
        self.on_append = lambda: None

    def append(self, parts, report, lease):
        self.tries += 1
        error, counted = self.errors.pop(self.tries, (None, False))
        if error is not None and not counted:
            raise error
        repeats = frozenset(p.key for p in parts if p.key in self.keys)
        self.keys |= {p.key for p in parts if p.key}
        self.appends.append(([p for p in parts if p.key not in repeats], report, lease))
        for span in report.positions.values():
            assert span.start == self.position
            self.position = span.stop
        self.on_append()
        if error is not None:
            raise error
        return repeats

    def watermark(self):
        return self.mark

    def sums(self, slice_name=""):
        totals = {}
        for parts, _, _ in self.appends:
            for part in parts:
                for key, sketch in part.sketches.items():
                    if key.slice == slice_name:
                        totals[key] = totals[key] + sketch if key in totals else sketch
        return totals


class Clock:
    def __init__(self, step=0.01):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def prompts(n, every=1.0, slices=("", "de", "fr"), models=("a", "b")):
    return [Prompt(str(i), f"text {i}", i * every, models[i % len(models)], slices[i % len(slices)]) for i in range(n)]


def pipeline(source, ledger, stop, enough, **options):
    last = []

    def observe(snapshot):
        last[:] = [snapshot]
        if enough(snapshot):
            stop.set()

    options = {"monotonic": Clock(), "windows": WINDOWS} | options
    return Pipeline(source, ledger, StubScoring(), worker="w1", observe=observe, **options), last


def run(source, ledger, enough=lambda s: s.ended, **options):
    stop = threading.Event()
    worker, last = pipeline(source, ledger, stop, enough, **options)
    worker.run(stop)
    return last[0]


def counts(sums):
    return {
        key: (s.n, s.strange, s.far, s.tokens, s.characters, s.truncated, s.topics.tolist(), s.histogram.tolist())
        for key, s in sums.items()
    }


def test_probes_that_came_back_are_in_every_report():
    rows, ledger = prompts(30), ListLedger()
    run(ListSource(rows, ledger=ledger), ledger, canaries=lambda: {"live": 5.0})
    assert {report.canaries["live"] for _, report, _ in ledger.appends} == {5.0}


def test_every_prompt_is_counted_once_for_its_model_and_once_for_its_slice():
    rows, ledger = prompts(300), ListLedger()
    snapshot = run(ListSource(rows, ledger=ledger), ledger)
    assert snapshot.prompts == {"a": 150, "b": 150}
    for slice_name in ("", "de", "fr"):
        for key, sketch in ledger.sums(slice_name).items():
            mine = [p for p in rows if p.model_name == key.model_name and p.time // 60 * 60 == key.window]
            mine = [p for p in mine if slice_name in ("", p.slice)]
            scores = StubScoring().score(mine)
            assert key.bundle == f"bundle-of-{key.model_name}"
            assert (sketch.n, sketch.characters) == (len(mine), sum(len(p.text) for p in mine))
            assert (sketch.strange, sketch.far, sketch.tokens) == (scores.strange.sum(), scores.far.sum(), scores.tokens.sum())
    assert sum(s.n for s in ledger.sums().values()) == 300
    assert sum(s.n for s in ledger.sums("de").values()) == 100


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 50), st.dictionaries(st.integers(1, 40), st.booleans(), max_size=8), st.sets(st.integers(1, 40), max_size=5))
def test_sums_do_not_depend_on_batches_failures_or_rewinds(step, failures, rewinds):
    rows = prompts(400)
    undisturbed = ListLedger()
    run(ListSource(rows, 400, undisturbed), undisturbed)
    ledger = ListLedger()
    # Half of the failures happen after the append was counted: the outcome is unknown to the worker.
    ledger.errors = {n: (Rewound("who knows"), counted) for n, counted in failures.items()}
    source = ListSource(rows, step, ledger)
    source.errors = {n: Rewound("reassigned") for n in rewinds}
    run(source, ledger, monotonic=Clock(1.0))
    assert counts(ledger.sums()) == counts(undisturbed.sums())
    assert counts(ledger.sums("fr")) == counts(undisturbed.sums("fr"))


class Pauses(threading.Event):
    """Remembers how long it was waited for, and does not wait."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        return self.is_set()


def test_an_unavailable_ledger_is_retried_with_back_off_and_loses_nothing(caplog):
    caplog.set_level("INFO")
    rows, ledger, stop = prompts(50), ListLedger(), Pauses()
    ledger.errors = {1: (Unavailable("ledger away"), False), 2: (Unavailable("ledger away"), True)}
    source = ListSource(rows, 100, ledger)
    worker, last = pipeline(source, ledger, stop, lambda s: s.ended)
    worker.run(stop)
    assert sum(s.n for s in ledger.sums().values()) == 50
    assert (source.rewinds, last[0].rewinds) == (2, 2)
    assert stop.waits == [0.5, 1.0]
    # Said once when it goes away and once when it is back, however often it is tried.
    assert [r.getMessage() for r in caplog.records] == ["ledger away; trying again until it is back", "the ledger is back"]


def test_flush_after_five_seconds_or_enough_prompts():
    ledger = ListLedger()
    source = ListSource(prompts(100), 1, ledger, ends=False)
    run(source, ledger, lambda s: s.prompts.get("a", 0) + s.prompts.get("b", 0) >= 30, monotonic=Clock(0.1))
    flushed = [sum(span.stop - span.start for span in report.positions.values()) for _, report, _ in ledger.appends]
    assert all(8 <= n <= 20 for n in flushed[1:-1])
    ledger = ListLedger()
    source = ListSource(prompts(8192 + FLUSH_PROMPTS + 10, every=0.001), 40_000, ledger, ends=False)
    run(source, ledger, lambda s: source.at > 8192 + FLUSH_PROMPTS, monotonic=Clock(0.0))
    # The first report of a partition goes out at once.
    assert [report.positions["in/0"] for _, report, _ in ledger.appends[:2]] == [Span(0, 8192), Span(8192, 8192 + FLUSH_PROMPTS)]


def test_lease_is_the_one_of_the_last_poll():
    ledger = ListLedger()
    source = ListSource(prompts(20), 20, ledger)
    run(source, ledger)
    assert ledger.appends[-1][2] == f"lease {source.polls}"


@pytest.mark.parametrize(("length", "seconds"), [(600, 15), (60, 15), (10, 10), (5, 5), (1, 5)])
def test_a_silent_worker_reports_so_often_that_windows_close_soon_after_their_end(length, seconds):
    ledger = ListLedger()
    source = ListSource([], ledger=ledger, ends=False)
    clock = Clock(0.5)
    windows = Windows(length=length, grace=30, max_skew=20)
    run(source, ledger, lambda s: len(ledger.appends) >= 4, monotonic=clock, clock=lambda: clock.now, windows=windows)
    sent = [report.sent for _, report, _ in ledger.appends]
    assert all(seconds - 1 <= b - a <= seconds + 2 for a, b in itertools.pairwise(sent[1:]))
    assert all(not parts and report.partitions == {"in/0"} for parts, report, _ in ledger.appends)


def test_a_silent_worker_shows_where_it_stands_so_that_it_can_be_fenced():
    ledger = ListLedger()
    source = ListSource(prompts(20), 20, ledger, ends=False)
    source.poll = functools.partial(keep_lease, source.poll)
    run(source, ledger, lambda s: len(ledger.appends) >= 3, monotonic=Clock(0.5))
    assert [report.positions for _, report, _ in ledger.appends] == [{"in/0": Span(0, 20)}, {"in/0": Span(20, 20)}, {"in/0": Span(20, 20)}]
    ledger = ListLedger()
    run(ListSource(prompts(20), 20, ledger, ends=False), ledger, lambda s: len(ledger.appends) >= 2, monotonic=Clock(0.5))
    assert ledger.appends[1][1].positions == {}  # under another lease that place may be somebody else's by now


def keep_lease(poll, limit, timeout):
    return dataclasses.replace(poll(limit, timeout), lease="lease")


class PostSource(ListSource):
    """Hands over batches of posts as given."""

    def __init__(self, batches, ledger):
        super().__init__([], ledger=ledger)
        self.batches = batches

    def poll(self, limit, timeout):
        self.polls += 1
        return self.batches.pop(0) if self.batches else Batch(progress={"http/w": Progress(0.0)}, partitions=frozenset({"http/w"}))


def post(at, *parts):
    rows, spans = [], []
    for key, n in parts:
        spans.append(Part(len(rows), len(rows) + n, key))
        rows += prompts(n, models=("a",))
    progress = {"http/w": Progress(0.0)}
    return Batch(rows, {"http/w": Span(at, at + len(parts))}, progress, frozenset({"http/w"}), parts=spans, urgent=True)


def test_posts_are_flushed_at_once_and_repeats_left_out():
    ledger = ListLedger()
    batches = [post(0, ("k1", 3), (None, 2)), post(2, ("k1", 3), ("k2", 4), ("k2", 4)), post(5, (None, 1))]
    source = PostSource(batches, ledger)
    snapshot = run(source, ledger, lambda s: s.prompts.get("a") == 10, monotonic=Clock(0.0))
    assert snapshot.repeats == 2
    assert sum(s.n for s in ledger.sums().values()) == 10
    assert [repeats for batch, repeats, _ in source.answered] == [frozenset(), frozenset({"k1"}), frozenset()]
    assert all(batch.prompts == () for batch, _, _ in source.answered)
    assert sorted(p.key or "" for p in ledger.appends[0][0]) == ["", "k1"]


class LeavingSource(PostSource):
    """Ends with one post handed over and not yet flushed."""

    def leave(self):
        return {"http/w": Progress(7.0, idle=True)}


def test_the_last_report_lets_the_partitions_of_this_process_go():
    for batches, moved in (([post(0, (None, 3))], {"http/w": Span(0, 1)}), ([], {})):
        ledger, stop = ListLedger(), threading.Event()
        stop.set()
        source = LeavingSource(list(batches), ledger)
        worker, _ = pipeline(source, ledger, stop, lambda s: True)
        for batch in batches:
            worker._take(batch)
        worker.run(stop)
        [(_, report, _)] = ledger.appends
        assert report.progress == {"http/w": Progress(7.0, idle=True)}
        assert report.positions == moved
        assert len(source.answered) == len(batches)


class PausableSource(ListSource):
    def pause(self, partitions):
        self.paused = partitions


def test_a_partition_far_ahead_waits_for_the_decider():
    ledger = ListLedger()
    ledger.mark = 0.0
    source = PausableSource(prompts(2000), 10, ledger)
    pauses = []

    def decider_closes():
        pauses.append(source.at)
        if source.paused:
            ledger.mark = source.prompts[source.at - 1].time - 60

    ledger.on_append = decider_closes
    run(source, ledger)
    assert sum(s.n for s in ledger.sums().values()) == 2000
    # Three windows and the grace ahead of the watermark, plus one batch; then flushed at once.
    assert all(later - earlier <= 3 * 60 + 30 + 60 + 20 for earlier, later in itertools.pairwise(pauses))


def test_errors_that_are_not_about_connections_end_the_loop():
    ledger = ListLedger()
    ledger.errors = {1: (ZeroDivisionError(), False)}
    with pytest.raises(ZeroDivisionError):
        run(ListSource(prompts(5), ledger=ledger), ledger)


def test_what_is_left_is_flushed_when_asked_to_stop():
    ledger = ListLedger()
    run(ListSource(prompts(30), 10, ledger, ends=False), ledger, lambda s: s.pending >= 20, monotonic=Clock(0.0))
    assert sum(s.n for s in ledger.sums().values()) >= 20
    assert ledger.position >= 20


def test_windows_must_be_whole_seconds():
    with pytest.raises(ConfigError, match="whole seconds"):
        Pipeline(None, None, StubScoring(), windows=Windows(length=0.5), worker="w")


class TwoBundles(StubScoring):
    """Model a has a shadow, which finds every prompt strange."""

    class Shadow(StubScoring):
        def score(self, prompts):
            scores = super().score(prompts)
            return dataclasses.replace(scores, strange=scores.strange | True)

    shadow = Shadow({"a": "new"})


def shadowed(source, ledger, **options):
    stop, last = threading.Event(), []

    def observe(snapshot):
        last[:] = [snapshot]
        if snapshot.ended:
            stop.set()

    Pipeline(source, ledger, TwoBundles(), worker="w1", observe=observe, windows=WINDOWS, monotonic=Clock(1.0), **options).run(stop)
    return last[0]


def test_a_shadow_gets_sketches_of_its_own_and_prompts_count_once():
    rows, ledger, alone = prompts(300), ListLedger(), ListLedger()
    snapshot = shadowed(ListSource(rows, ledger=ledger), ledger)
    single = run(ListSource(rows, ledger=alone), alone)
    assert (snapshot.prompts, snapshot.tokens, snapshot.truncated) == (single.prompts, single.tokens, single.truncated)
    for slice_name in ("", "de", "fr"):
        sums = ledger.sums(slice_name)
        assert counts({key: s for key, s in sums.items() if key.bundle != "new"}) == counts(alone.sums(slice_name))
        second = {key: s for key, s in sums.items() if key.bundle == "new"}
        assert {key._replace(bundle="bundle-of-a"): s.n for key, s in second.items()} == {
            key: s.n for key, s in sums.items() if key.bundle == "bundle-of-a"
        }
        assert all(s.strange == s.n for s in second.values())
    assert {key.model_name for key in ledger.sums() if key.bundle == "new"} == {"a"}


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 50), st.dictionaries(st.integers(1, 40), st.booleans(), max_size=8))
def test_both_bundles_are_counted_together_or_not_at_all(step, failures):
    rows, ledger = prompts(200), ListLedger()
    ledger.errors = {n: (Rewound("who knows"), counted) for n, counted in failures.items()}
    shadowed(ListSource(rows, step, ledger), ledger)
    for parts, _, _ in ledger.appends:
        for part in parts:
            n = {
                bundle: sum(s.n for k, s in part.sketches.items() if (k.bundle, k.slice) == (bundle, ""))
                for bundle in ("bundle-of-a", "new")
            }
            assert n["bundle-of-a"] == n["new"]
    assert sum(s.n for key, s in ledger.sums().items() if key.bundle == "new") == 100
