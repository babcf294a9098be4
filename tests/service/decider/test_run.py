"""The decider's loop over a journal that remembers, fences and fails."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from decider_log import START, Log, history, settings, watched

from service.decider import run
from service.decider.closed import Closed
from service.decider.decider import Decider
from service.decider.run import DeciderLoop
from service.decider.snapshot import DeciderSnapshot
from service.errors import Fenced
from service.ledger.contract import Unavailable, UnknownVersion
from service.records import Checkpoint, Entry


class Away(Exception):
    pass


class FakeJournal:
    """One log and one checkpoint, shared by everybody; ``holder`` says who may decide."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.saved: Checkpoint | None = None
        self.checkpoints = 0
        self.holder: object | None = None

    def open(self) -> "FakeSession":
        return FakeSession(self)


class FakeSession:
    def __init__(self, journal: FakeJournal) -> None:
        self.journal = journal
        self.fail: Exception | None = None
        self.closed = False

    def acquire(self, timeout: float) -> bool:
        if self.journal.holder is None:
            self.journal.holder = self
        return self.journal.holder is self

    def restore(self) -> Checkpoint | None:
        return self.journal.saved

    def read(self, after: int, limit: int, timeout: float) -> Sequence[Entry]:
        self._check()
        return [entry for entry in self.journal.entries if entry.position >= after][:limit]

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self._check()
        self.journal.saved = checkpoint
        self.journal.checkpoints += 1

    def close(self) -> None:
        self.closed = True
        if self.journal.holder is self:
            self.journal.holder = None

    def _check(self) -> None:
        if self.fail:
            raise self.fail
        if self.journal.holder is not self:
            raise Fenced("taken over")


class FakeStore:
    def __init__(self) -> None:
        self.steps: list[Closed] = []
        self.fail: Exception | None = None

    def upsert(self, steps: Sequence[Closed]) -> None:
        if self.fail:
            raise self.fail
        self.steps.extend(steps)


class Rig:
    """One loop with everything around it."""

    def __init__(self, journal: FakeJournal, clock: Callable[[], float] = lambda: START + 100.0, **windows: object) -> None:
        self.session, self.store, self.published = journal.open(), FakeStore(), list[DeciderSnapshot]()
        self.decider = Decider(watched(), settings(windows={"clock": "wall", **windows}))
        self.loop = DeciderLoop(
            self.session, self.decider, self.store, clock, self.published.append, retry=(Away, Unavailable), checkpoint_every=0.0
        )


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture(autouse=True)
def publish_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PUBLISH", 0.0)


def test_it_decides_writes_checkpoints_and_publishes(journal: FakeJournal) -> None:
    rig = Rig(journal)
    journal.entries = Log().window(START).drain()
    rig.loop.step()
    assert [step.window for step in rig.store.steps] == [START]
    assert journal.saved is not None
    assert (journal.saved.position, journal.saved.watermark) == (2, START + 90)
    assert rig.published[-1].active
    assert rig.published[-1].checkpointed == START + 100
    assert rig.published[-1].closing.seconds > 0


def test_nothing_new_writes_nothing(journal: FakeJournal) -> None:
    rig = Rig(journal)
    journal.entries = Log().window(START).drain()
    for _ in range(5):
        rig.loop.step()
    assert journal.checkpoints == 1


def test_a_command_alone_is_checkpointed(journal: FakeJournal) -> None:
    rig = Rig(journal)
    journal.entries = Log().command("baseline.learn", **history(3)).drain()
    rig.loop.step()
    assert journal.checkpoints == 1
    assert rig.store.steps[0].audit[0].kind == "baseline.learn"


def test_every_command_leaves_one_line_with_who_what_and_why(journal: FakeJournal, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(journal)
    journal.entries = Log().command("baseline.learn", **history(20)).command("baseline.accept", model="bot", reason="a good month").drain()
    with caplog.at_level("INFO", "service"):
        rig.loop.step()
        journal.entries += Log().command("incident.ack", id="c", incident="none").drain()
        journal.entries[-1] = journal.entries[-1]._replace(position=2)
        rig.store.fail = Away("disk full")
        with pytest.raises(Away):
            rig.loop.step()
        rig.store.fail = None
        rig.loop.step()
    said = [(record.levelname, record.fields) for record in caplog.records if record.message in ("command applied", "command refused")]  # type: ignore[attr-defined]
    assert [(level, line["command"], line["actor"]) for level, line in said] == [
        ("INFO", "baseline.learn", "ada"),
        ("INFO", "baseline.accept", "ada"),
        ("WARNING", "incident.ack", "ada"),
    ]
    assert (said[1][1]["model"], said[1][1]["reason"]) == ("bot", "a good month")
    assert said[1][1]["outcome"].startswith("accepted history: strange 3.00%")
    assert said[2][1] == {"command": "incident.ack", "actor": "ada", "incident": "none", "outcome": "refused: no such incident is open"}


def test_a_position_that_moved_is_checkpointed_without_a_closed_window(journal: FakeJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(journal)
    journal.entries = Log().delta(START).report(START + 10).drain()
    rig.loop.step()
    assert journal.checkpoints == 0
    monkeypatch.setattr(run, "IDLE_CHECKPOINT", 0.0)
    rig.loop.step()
    assert journal.checkpoints == 1


def test_another_process_goes_on_where_the_first_was_killed(journal: FakeJournal) -> None:
    log, first, second = Log(), Rig(journal), Rig(journal)
    journal.entries = log.window(START).drain()
    first.loop.step()
    journal.entries += log.delta(START + 60).drain()
    first.loop.step()
    second.loop.step()
    assert [picture.active for picture in second.published] == [False]
    assert second.published[0].streams[0].latest == first.published[-1].streams[0].latest

    journal.holder = None  # killed, without a word
    journal.entries += log.report(START + 150).drain()
    second.loop.step()
    assert [step.window for step in second.store.steps] == [START + 60]
    assert second.published[-1].active


def test_a_fenced_decider_stands_by_and_shows_what_the_other_saw(journal: FakeJournal) -> None:
    rig, other = Rig(journal), Rig(journal)
    journal.entries = Log().window(START).drain()
    rig.loop.step()
    journal.holder = other.session
    with pytest.raises(Fenced):
        rig.loop.step()


def test_run_survives_fencing_and_outages_and_ends_with_a_checkpoint(journal: FakeJournal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig, log = Rig(journal), Log()
    journal.entries = log.window(START).drain()
    thread = threading.Thread(target=rig.loop.run)
    thread.start()
    try:
        wait(lambda: journal.checkpoints == 1)
        journal.holder = object()
        wait(lambda: bool(rig.published) and not rig.published[-1].active)
        journal.holder = None
        wait(lambda: rig.published[-1].active)
        rig.session.fail = Away("the broker is away")
        wait(lambda: "the broker is away" in rig.published[-1].blind)
        rig.session.fail = None
        wait(lambda: "the broker is away" not in rig.published[-1].blind)
        said = [record.getMessage() for record in caplog.records]
        assert [line for line in said if "go on" in line or "goes on" in line] == ["decider cannot go on, trying again", "decider goes on"]
        journal.entries += log.window(START + 60).drain()
        wait(lambda: len(rig.store.steps) == 2)
    finally:
        rig.loop.stop()
        thread.join(5)
    assert not thread.is_alive()
    assert rig.session.closed
    assert journal.saved is not None
    assert journal.saved.position == 4


def test_what_the_store_did_not_take_is_written_before_the_checkpoint(journal: FakeJournal) -> None:
    rig = Rig(journal)
    journal.entries = Log().window(START).drain()
    rig.store.fail = Away("disk full")
    with pytest.raises(Away):
        rig.loop.step()
    assert journal.checkpoints == 0
    rig.store.fail = None
    rig.loop.step()
    assert [step.window for step in rig.store.steps] == [START]
    assert journal.checkpoints == 1


def test_an_error_that_is_no_outage_ends_the_loop(journal: FakeJournal) -> None:
    rig = Rig(journal)
    rig.session.fail = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        rig.loop.run()
    assert rig.session.closed


def test_a_record_of_a_newer_version_ends_the_loop_and_is_named(journal: FakeJournal) -> None:
    """It is neither skipped nor tried again in silence: nothing after it is decided."""
    rig = Rig(journal)
    journal.entries = Log().window(START).drain()
    rig.loop.step()
    rig.session.fail = UnknownVersion("record of kind 'delta', version 9; this build reads [1]: upgrade the decider")
    with pytest.raises(UnknownVersion, match="version 9"):
        rig.loop.run()
    assert rig.session.closed
    assert journal.saved is not None
    assert journal.saved.position == 2


def test_wall_time_counts_only_after_a_lease_of_silence(journal: FakeJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow first read after a restart must not close the windows whose deltas are still to be read."""
    rig = Rig(journal, clock=lambda: START + 100_000.0)
    journal.entries = Log().delta(START).report(START + 70, partition="http/w").drain()
    rig.loop.step()
    rig.loop.step()
    assert rig.store.steps == []
    monkeypatch.setattr(run, "LEASE", -1.0)
    rig.loop.step()
    assert [step.window for step in rig.store.steps] == [START]


def test_a_stopped_decider_that_was_never_active_writes_nothing(journal: FakeJournal) -> None:
    journal.holder = object()
    rig = Rig(journal)
    rig.loop.stop()
    rig.loop.run()
    assert journal.saved is None


def wait(done: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.005)


def test_a_checkpoint_that_cannot_be_read_is_blind_and_named_and_never_overwritten(journal: FakeJournal) -> None:
    rig = Rig(journal)
    journal.entries = Log().window(START).drain()
    journal.saved = Checkpoint(0, 0.0, b"from the future")
    thread = threading.Thread(target=rig.loop.run)
    thread.start()
    try:
        wait(lambda: any("the checkpoint holds no state of a decider" in picture.blind for picture in rig.published))
    finally:
        rig.loop.stop()
        thread.join(5)
    assert journal.checkpoints == 0
    assert not any(picture.active for picture in rig.published)


def test_a_store_that_is_away_at_the_end_does_not_hide_behind_a_crash(journal: FakeJournal, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(journal)
    rig.loop.step()
    journal.entries = Log().window(START).drain()
    rig.store.fail = Away("disk full")
    rig.loop.stop()
    rig.loop.run()
    assert journal.checkpoints == 0
    assert "no last checkpoint" in caplog.text


def test_a_promotion_that_the_configuration_has_overtaken_is_said_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shadows = {"bot": replace(watched()["bot"], bundle="N")}
    log = Log().command("bundle.promote", model="bot", reason="r", anyway=True)
    journal, decider = FakeJournal(), Decider(watched(), settings(), shadows=shadows)
    decider.absorb(log.window(START).drain())
    journal.saved = Checkpoint(decider.position, decider.watermark, decider.snapshot())
    for known in (shadows, {}):
        caplog.clear()
        with_config = Decider(watched(), settings(), shadows=known)
        DeciderLoop(journal.open(), with_config, FakeStore(), lambda: 0.0, lambda picture: None).step()
        journal.holder = None
        said = [record.fields["note"] for record in caplog.records if record.getMessage() == "bundle in force"]  # type: ignore[attr-defined]
        assert len(said) == (0 if known else 1)
    assert "N was put in force by a command, but the configuration has changed since: B is in force now" in said[0]
