"""Thousands of probes against a real server that fails in every way: each ends in one reply, and what it costs is counted."""

import asyncio
import resource
import time

import pytest

from parts.endpoint import Endpoint, mixed
from service.config import Daily, Rate, Timeouts
from service.config import Endpoint as Settings
from service.probes.budget import Budget
from service.probes.pacing import Pace
from service.probes.target import TargetClient
from service.records.probes import Call, Message, Reply

pytestmark = pytest.mark.asyncio

SCALE = 100.0
TIMEOUTS = Timeouts(connect=2.0, first_token=1.5, total=2.5)
FINAL = {
    "": {None},
    "empty": {None},
    "filtered": {None},
    "hang": {"timeout_first"},
    "half_stream": {"cut_off"},
    "cut_body": {"cut_off"},
    "not_json": {"not_json"},
    "no_choices": {"no_answer"},
    "huge": {"too_large"},
    "drip": {"timeout_total"},
    "drip_stream": {"timeout_total"},
    "error_in_stream": {"server"},
    "rate_limited": {"rate_limited"},
    "server_error": {"server"},
    "reset": {"reset"},
}
TRIED_AGAIN = ("rate_limited", "server_error", "reset")


async def quick(seconds: float) -> None:
    await asyncio.sleep(seconds / SCALE)


def client(endpoint: Endpoint, daily: Daily, concurrency: int = 32, stream: bool = True, timeouts: Timeouts = TIMEOUTS) -> TargetClient:
    rate = Rate(per_minute=1e9, concurrency=concurrency)
    settings = Settings(url=endpoint.url, model="m", stream=stream, timeouts=timeouts, rate=rate, daily=daily)
    pace = Pace(rate, clock=lambda: time.monotonic() * SCALE, sleep=quick)
    return TargetClient("live", settings, budget=Budget(daily), pace=pace, sleep=quick)


async def ask_all(target: TargetClient, count: int) -> list[Reply]:
    try:
        calls = [Call((Message("user", f"Repeat after me: word{i}"),), max_tokens=16) for i in range(count)]
        return await asyncio.gather(*(target.ask(call) for call in calls))
    finally:
        await target.aclose()


async def storm(count: int, seed: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with Endpoint(mixed(0.3, seed)) as endpoint:
        daily = Daily(calls=10 * count, tokens=10**9)
        target = client(endpoint, daily)
        replies = await ask_all(target, count)
    assert len(replies) == count
    for i, reply in enumerate(replies):
        if reply.error is None:
            assert reply.text in (f"word{i}", "")
            assert reply.status in (200, 400)
            assert (reply.refusal == "content_filter") == (reply.status == 400)
        else:
            assert (reply.text, reply.tool_calls, reply.refusal) == ("", (), None)
    # What was answered, rightly or wrongly, is never asked again; what was not, twice at most.
    attempts = [reply.attempts for reply in replies]
    assert sum(attempts) == endpoint.requests == target.budget.spent().calls
    assert max(endpoint.asked.values()) <= 3
    again = sum(endpoint.sent[kind] for kind in TRIED_AGAIN)
    assert 0.9 * again <= sum(attempts) - count <= again
    for kind, errors in FINAL.items():
        assert endpoint.sent[kind], kind
        if kind and None not in errors and kind not in TRIED_AGAIN:
            same = [other for other in FINAL if FINAL[other] == errors and other not in TRIED_AGAIN]
            assert sum(reply.error in errors for reply in replies) >= sum(endpoint.sent[other] for other in same), kind
    good = sum(reply.error is None for reply in replies)
    assert good == endpoint.sent[""] + endpoint.sent["empty"] + endpoint.sent["filtered"]
    # 32 answers of at most 2 MB and their copies; each of the ten-megabyte ones is let go.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 500


async def test_three_hundred_probes_with_a_third_of_faults_end_in_one_reply_each() -> None:
    await storm(300, seed=1)


@pytest.mark.slow
async def test_five_thousand_probes_with_a_third_of_faults_end_in_one_reply_each() -> None:
    await storm(5000, seed=2)


SHORT = Timeouts(connect=2.0, first_token=0.3, total=0.5)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", [fault for fault in FINAL if fault])
async def test_each_fault_has_its_own_error_and_only_transport_is_tried_again(fault: str, stream: bool) -> None:
    async with Endpoint(iter([fault] * 3)) as endpoint:
        target = client(endpoint, Daily(), stream=stream, timeouts=SHORT)
        (reply,) = await ask_all(target, 1)
    assert reply.error in FINAL[fault]
    assert endpoint.requests == reply.attempts == (3 if fault in TRIED_AGAIN else 1)
    if fault == "huge":
        assert reply.tokens_out == 0
    if fault == "filtered":
        assert reply.refusal == "content_filter"


@pytest.mark.parametrize(
    ("daily", "spent"),
    [(Daily(calls=20), "calls"), (Daily(calls=None, tokens=1500), "tokens")],
)
async def test_the_budget_holds_under_faults_and_concurrency(daily: Daily, spent: str) -> None:
    async with Endpoint(mixed(0.3, seed=3)) as endpoint:
        target = client(endpoint, daily, concurrency=8)
        replies = await ask_all(target, 200)
    used = target.budget.spent()
    assert used.calls == endpoint.requests
    limit = daily.calls if spent == "calls" else daily.tokens
    assert limit is not None
    assert 0.6 * limit <= getattr(used, spent) <= limit
    assert {reply.error for reply in replies} >= {"budget", None}
    assert all(reply.attempts == 0 for reply in replies if reply.error == "budget")


async def test_what_cannot_be_reached_is_an_error_of_connecting() -> None:
    async with Endpoint(iter(())) as endpoint:
        url = endpoint.url
    settings = Settings(url=url, model="m", timeouts=TIMEOUTS)
    target = TargetClient("live", settings, sleep=quick, pace=Pace(settings.rate, lambda: time.monotonic() * SCALE, quick))
    (reply,) = await ask_all(target, 1)
    assert (reply.error, reply.attempts, reply.status, reply.tokens_in) == ("connect", 3, None, 0)
