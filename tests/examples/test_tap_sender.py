"""The sender of the taps: bounded, in order, once; and whatever Tiltmeter does, the application notices nothing."""

import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from tap_servers import Fake, mute, real, serving, until
from tiltmeter_sender import RECORD, Sender, Stats

FAST = {"linger": 0.01}


def texts(numbers: range) -> list[dict[str, Any]]:
    return [{"text": f"text {i}"} for i in numbers]


def put_all(sender: Sender, records: list[dict[str, Any]]) -> list[bool]:
    return [sender.put(record) for record in records]


def balanced(stats: Stats) -> bool:
    return stats.put == stats.accepted + stats.skipped + sum(stats.dropped.values()) + stats.queued + stats.sending


def done(sender: Sender, **ended: Any) -> Stats:
    """Wait until everything put has come to an end."""

    def settled() -> bool:
        stats = sender.stats()
        assert balanced(stats)
        return stats.queued == stats.sending == 0

    until(settled)
    return sender.stats()


def test_everything_arrives_in_order_and_once() -> None:
    with serving(Fake()) as fake:
        sender = Sender(fake.url, "opensesame", batch=40, **FAST)
        assert all(put_all(sender, texts(range(1000))))
        stats = done(sender)
        assert (stats.put, stats.accepted, stats.dropped, stats.retries) == (1000, 1000, {}, 0)
        assert fake.texts == [f"text {i}" for i in range(1000)]
        assert len({key for key, _, _ in fake.posts}) == len(fake.posts) >= 25
        assert {auth for _, _, auth in fake.posts} == {"Bearer opensesame"}
        sender.close()


def test_a_batch_is_tried_again_under_its_own_key_and_the_next_has_another() -> None:
    busy = (503, "not confirmed yet", {"Retry-After": "0"})
    with serving(Fake([(429, "full", {"Retry-After": "0"}), busy, (401, "no", {}), (200, "", {})])) as fake:
        sender = Sender(fake.url, **FAST)
        sender.put({"text": "one"})
        stats = done(sender)
        sender.put({"text": "two"})
        done(sender)
        keys = [key for key, _, _ in fake.posts]
        assert len(set(keys[:4])) == 1
        assert keys[4] != keys[0]
        assert (stats.accepted, stats.retries, stats.dropped) == (1, 3, {})
        assert stats.last_error == "401 no"
        sender.close()


def test_retry_after_is_obeyed() -> None:
    with serving(Fake([(429, "full", {"Retry-After": "2"})])) as fake:
        sender = Sender(fake.url, **FAST)
        start = time.monotonic()
        sender.put({"text": "one"})
        done(sender)
        assert time.monotonic() - start >= 2
        sender.close()


def test_a_lost_answer_counts_once_at_the_real_service() -> None:
    """The first answer is cut off after the service has counted: the key of the second says that it is the same post."""
    with real() as service:
        sender = Sender(service.url, service.token, timeout=2.0, **FAST)
        original, lost = sender._post, []

        def lossy(body: bytes, key: str) -> Any:
            answer = original(body, key)
            if not lost:
                lost.append(key)
                return type(answer)(0, "answer lost")
            assert key == lost[0]
            return answer

        sender._post = lossy  # type: ignore[method-assign]
        put_all(sender, [{**record, "model": "support-bot"} for record in texts(range(5))])
        stats = done(sender)
        assert (stats.accepted, stats.retries) == (5, 1)
        # The source hands both posts on under one key, by which the ledger knows the second.
        assert [key for key, _ in service.posts] == [lost[0]] * 2
        assert [size for _, size in service.posts] == [5, 5]
        sender.close()


def test_full_drops_the_oldest_and_counts_them() -> None:
    with mute() as url:
        sender = Sender(url, max_records=100, batch=10, timeout=0.3, **FAST)
        put_all(sender, texts(range(10)))
        until(lambda: sender.stats().sending == 10)
        put_all(sender, texts(range(10, 1000)))
        stats = sender.stats()
        assert balanced(stats)
        assert (stats.queued, stats.dropped["full"], stats.put) == (100, 890, 1000)
        assert [record["text"] for _, _, record in sender._queue] == [f"text {i}" for i in range(900, 1000)]
        sender.close(0)


def test_bytes_are_bounded_too() -> None:
    with mute() as url:
        sender = Sender(url, max_bytes=10_000, timeout=0.3, linger=60)
        for _ in range(50):
            sender.put({"text": "x" * 1000})
            assert sender.stats().queued_bytes <= 10_000
        assert not sender.put({"text": "x" * 10_001})
        stats = sender.stats()
        assert (stats.queued, stats.dropped) == (10, {"full": 40, "too_large": 1})
        assert balanced(stats)
        sender.close(0)


@pytest.mark.parametrize("kind", ["killed", "hung", "full", "broken"])
def test_what_cannot_be_delivered_in_time_is_dropped_and_the_next_is_delivered(kind: str) -> None:
    """Trouble longer than a record is worth keeping, then Tiltmeter is back at the same address."""
    bad: dict[str, Any] = {"hung": None, "full": (429, "full", {}), "broken": (500, "\x00", {})}
    fake = Fake([bad.get(kind)] * 1000)
    with serving(fake):
        sender = Sender(fake.url, timeout=0.2, keep=0.5, **FAST)
        if kind == "killed":
            sender._url = sender._url._replace(netloc="127.0.0.1:1")
        put_all(sender, texts(range(20)))
        until(lambda: sender.stats().dropped.get("late") == 20)
        assert balanced(sender.stats())
        fake.script.clear()
        sender._url = sender._url._replace(netloc=fake.url.removeprefix("http://"))
        sender.put({"text": "after"})
        until(lambda: sender.stats().accepted == 1)
        assert fake.texts[-1] == "after"
        sender.close()


def test_an_answer_that_drips_does_not_outlast_the_timeout() -> None:
    with serving(Fake(delay=0.0)) as fake:
        sender = Sender(fake.url, timeout=0.5, keep=0.8, **FAST)

        def drip(handler: Any) -> None:
            handler.rfile.read(int(handler.headers["Content-Length"]))
            for letter in b"HTTP/1.1 200 OK and a long reason for it":
                handler.wfile.write(bytes([letter]))
                time.sleep(0.1)

        fake.answer = drip  # type: ignore[method-assign, assignment]
        start = time.monotonic()
        sender.put({"text": "one"})
        until(lambda: sender.stats().retries == 1 or sender.stats().dropped)
        assert time.monotonic() - start < 2
        sender.close(0)


def test_one_bad_record_does_not_cost_the_others() -> None:
    with real() as service:
        sender = Sender(service.url, service.token, **FAST)
        records = [{"text": f"text {i}", "model": "support-bot"} for i in range(10)]
        records[3]["model"] = "somebody-elses"
        records[7] = {"model": "support-bot"}
        put_all(sender, records)
        stats = done(sender)
        assert (stats.accepted, stats.dropped) == (8, {"refused": 2})
        assert [prompt.text for prompt in service.counted] == [f"text {i}" for i in range(10) if i not in (3, 7)]
        sender.close()


def test_a_post_that_is_too_large_is_split() -> None:
    fake = Fake()
    with serving(fake):
        inner = fake.answer

        def picky(handler: Any) -> None:
            if int(handler.headers["Content-Length"]) > 100:
                fake.script.insert(0, (413, "body: larger", {}))
            inner(handler)

        fake.answer = picky  # type: ignore[method-assign]
        sender = Sender(fake.url, **FAST)
        put_all(sender, [*texts(range(16)), {"text": "x" * 200}])
        stats = done(sender)
        assert (stats.accepted, stats.dropped) == (16, {"refused": 1})
        sender.close()


def test_what_cannot_be_made_or_written_is_counted_and_nothing_is_raised() -> None:
    def broken() -> Mapping[str, Any]:
        raise RuntimeError("a secret prompt")

    with serving(Fake()) as fake:
        sender = Sender(fake.url, **FAST)
        sender.put(broken)
        sender.put(lambda: None)
        sender.put({"text": object()})
        sender.put(None)  # type: ignore[arg-type]
        sender.put({"text": "x" * RECORD})
        sender.put({"text": "fine"})
        stats = done(sender)
        assert (stats.accepted, stats.skipped, stats.dropped) == (1, 2, {"unreadable": 2, "too_large": 1})
        assert "secret" not in repr(stats)
        sender.close()


def test_put_does_not_wait_for_a_lock_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender("http://127.0.0.1:1", **FAST)
    with sender._lock:
        start = time.monotonic()
        assert sender.put({"text": "one"}) is False
        assert time.monotonic() - start < 1
    assert sender.stats().dropped == {"busy": 1}


def test_close_sends_what_waits_and_then_takes_nothing() -> None:
    with serving(Fake()) as fake:
        sender = Sender(fake.url, linger=60)
        put_all(sender, texts(range(20)))
        stats = sender.close()
        assert (stats.accepted, stats.dropped) == (20, {})
        assert sender.put({"text": "late"}) is False
        assert sender.stats().dropped == {"closed": 1}


def test_close_gives_up_when_nobody_answers() -> None:
    with mute() as url:
        sender = Sender(url, timeout=0.3, **FAST)
        put_all(sender, texts(range(20)))
        start = time.monotonic()
        sender.close(2.0)
        assert time.monotonic() - start < 2.5
        until(lambda: sum(sender.stats().dropped.values()) == 20)


def _child(sender: Sender, results: Any) -> None:
    before = sender.stats()
    put_all(sender, [{"text": f"child {i}"} for i in range(3)])
    results.put((before, sender.close()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_has_a_queue_and_a_thread_of_its_own() -> None:
    with serving(Fake(delay=0.05)) as fake:
        sender = Sender(fake.url, **FAST)
        put_all(sender, [{"text": f"parent {i}"} for i in range(5)])
        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        child = context.Process(target=_child, args=[sender, results])
        with sender._lock:  # the worst moment: the child would inherit a lock that nobody in it can release
            child.start()
        before, after = results.get()
        child.join(10)
        assert before == Stats()
        assert (after.put, after.accepted) == (3, 3)
        assert done(sender).accepted == 5
        assert sorted(fake.texts) == [*(f"child {i}" for i in range(3)), *(f"parent {i}" for i in range(5))]
        sender.close()


def test_the_log_tells_counts_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    sender = Sender("http://127.0.0.1:1", timeout=0.1, keep=0.1, **FAST)
    sender._told = (-100.0, 0)
    sender.put({"text": "a secret prompt"})
    until(lambda: caplog.records)
    assert "1 prompts not delivered" in caplog.text
    assert "secret" not in caplog.text
    sender.close()


def test_many_threads_put_at_once() -> None:
    with serving(Fake()) as fake:
        sender = Sender(fake.url, max_records=100_000, **FAST)
        threads = [threading.Thread(target=put_all, args=[sender, texts(range(500))]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done(sender).accepted == 4000
        assert len(fake.texts) == 4000
        sender.close()


@pytest.mark.parametrize("url", ["tiltmeter:9108", "ftp://tiltmeter", "http://"])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="expected http"):
        Sender(url)
