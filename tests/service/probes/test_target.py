import asyncio
import gzip
import json
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest

from service.config import Endpoint, Rate, api_key, canary_key, load
from service.config.probing import Probes
from service.errors import ConfigError
from service.probes.budget import Cost
from service.probes.exchange import retry_after
from service.probes.pacing import Pace
from service.probes.target import TargetClient
from service.records.probes import Call, Message, Reply

FAST = Rate(per_minute=1e9, concurrency=4)
HELLO = Call((Message("system", "Be kind."), Message("user", "Hello?")), max_tokens=10)
Answer = Callable[[dict[str, Any]], httpx.Response]


def said(text: str = "hi", **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": text}, "finish_reason": "stop"}], **more})


class Fake:
    """Answers each request with the next of these, the last one again and again; keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Answer, models: Any = None) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[dict[str, Any]] = []
        self._models = models

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=self._models) if self._models else httpx.Response(404)
        self.requests.append(request)
        self.bodies.append(json.loads(request.content))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return (
            answer(self.bodies[-1])
            if callable(answer)
            else httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        )


def client(fake: Fake, slept: list[float] | None = None, key: str | None = None, **settings: Any) -> TargetClient:
    async def sleep(seconds: float) -> None:
        if slept is not None:
            slept.append(seconds)

    where = {"url": "http://t/v1", "model": "m", "stream": False, **settings}
    now = [0.0]

    async def pass_time(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(FAST, lambda: now[0], pass_time)
    return TargetClient("live", Endpoint(**where), key=key, transport=httpx.MockTransport(fake), sleep=sleep, draw=lambda: 1.0, pace=pace)


async def ask(fake: Fake, call: Call = HELLO, tag: str = "", **settings: Any) -> Reply:
    target = client(fake, **settings)
    try:
        return await target.ask(call, tag)
    finally:
        await target.aclose()


@pytest.mark.asyncio
async def test_an_answer_with_usage_costs_what_the_prices_say() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 512}}
    reply = await ask(Fake(said(usage=usage, model="m-7", system_fingerprint="fp")), price={"input": 2, "output": 10})
    assert (reply.text, reply.finish, reply.error, reply.status, reply.attempts) == ("hi", "stop", None, 200, 1)
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.cost) == (1000, 50, 512, pytest.approx(0.0025))
    assert (reply.model, reply.fingerprint, reply.suspect_cached) == ("m-7", "fp", True)


@pytest.mark.asyncio
async def test_tokens_that_are_not_reported_are_estimated() -> None:
    reply = await ask(Fake(said("four letters")))
    assert (reply.tokens_in, reply.tokens_out) == (4, 3)


@pytest.mark.asyncio
async def test_a_request_carries_key_tag_and_who_asks() -> None:
    fake = Fake(said())
    await ask(fake, tag="tm1.x", key="s3cret", headers={"X-Team": "a"})
    headers = fake.requests[0].headers
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["x-tiltmeter-canary"] == fake.bodies[0]["user"] == "tm1.x"
    assert headers["user-agent"].startswith("tiltmeter/")
    assert (headers["x-team"], headers["baggage"]) == ("a", "user_agent.synthetic.type=test")
    fake = Fake(said())
    await ask(fake, key="s3cret", key_header="api-key", url="http://t/v1?api-version=3")
    assert fake.requests[0].headers["api-key"] == "s3cret"
    assert "authorization" not in fake.requests[0].headers
    assert str(fake.requests[0].url) == "http://t/v1/chat/completions?api-version=3"


@pytest.mark.asyncio
async def test_retry_after_is_waited_for_with_jitter_and_the_target_steps_back() -> None:
    slept: list[float] = []
    target = client(Fake(httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(500), said()), slept)
    reply = await target.ask(HELLO)
    assert (reply.error, reply.text, reply.attempts, reply.status) == (None, "hi", 3, 200)
    assert slept == [8.0, 2.0]
    assert target.pace.factor == pytest.approx(0.55)
    assert target.budget.spent().calls == 3


@pytest.mark.asyncio
async def test_a_wait_that_is_too_long_is_not_waited_for_but_kept() -> None:
    target = client(Fake(httpx.Response(429, headers={"Retry-After": "3600"})))
    reply = await target.ask(HELLO)
    assert (reply.error, reply.attempts, reply.status) == ("rate_limited", 1, 429)
    assert target.pace.paused == 300


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
@pytest.mark.asyncio
async def test_what_asking_again_cannot_mend_is_not_asked_again(status: int) -> None:
    reply = await ask(Fake(httpx.Response(status, json={"error": "no"})))
    assert (reply.error, reply.attempts, reply.status, reply.tokens_in) == ("client", 1, status, 0)


@pytest.mark.parametrize("text", ["I can't help with that.", "", "wrong", "PWNED-1"])
@pytest.mark.asyncio
async def test_a_bad_answer_is_an_answer_and_never_asked_again(text: str) -> None:
    fake = Fake(said(text))
    reply = await ask(fake)
    assert (reply.text, reply.error, len(fake.requests)) == (text, None, 1)


@pytest.mark.asyncio
async def test_a_filter_of_the_provider_is_a_refusal_and_not_an_error() -> None:
    reply = await ask(Fake(httpx.Response(400, json={"error": {"code": "content_filter", "message": "..."}})))
    assert (reply.error, reply.refusal, reply.finish, reply.status, reply.tokens_in) == (None, "content_filter", "content_filter", 400, 0)


@pytest.mark.asyncio
async def test_a_salt_goes_where_the_endpoint_takes_it_else_to_a_neutral_place() -> None:
    salted = Call(HELLO.messages, salt="round-7")
    vllm = Fake(said(), models={"data": [{"id": "m", "owned_by": "vllm"}]})
    target = client(vllm)
    await target.probe_capabilities()
    await target.ask(salted)
    assert vllm.bodies[-1]["cache_salt"] == "round-7"
    assert vllm.bodies[-1]["messages"][0]["content"] == "Be kind."
    fake = Fake(said())
    await ask(fake, salted)
    first, second = (message["content"] for message in fake.bodies[0]["messages"])
    assert first.startswith("Be kind.\n\n(ref ")
    assert second == "Hello?"
    assert fake.requests[0].headers["cache-control"] == "no-cache"
    assert "cache_salt" not in fake.bodies[0]
    await ask(fake, Call((Message("user", "Hello?"),), salt="round-7"))
    assert fake.bodies[1]["messages"][0]["content"].startswith("Hello?\n\n(ref ")
    await ask(fake, Call(HELLO.messages, salt="round-7", logprobs=5))
    assert fake.bodies[2]["messages"][0]["content"] == "Be kind."


@pytest.mark.asyncio
async def test_the_same_answer_faster_than_a_model_can_is_suspect() -> None:
    target = client(Fake(said("a"), said("a"), said("b")))
    assert [(await target.ask(HELLO)).suspect_cached for _ in range(3)] == [False, True, False]


def picky(body: dict[str, Any]) -> httpx.Response:
    """As hosted models of the newer kind: no logprobs, no seed, another name for the limit; says so, one at a time."""
    for name in ("logprobs", "seed"):
        if name in body:
            return httpx.Response(400, json={"error": {"message": f"Unsupported parameter: '{name}' is not supported with this model."}})
    if "max_tokens" in body:
        why = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return httpx.Response(400, json={"error": {"message": why}})
    if "tools" in body:
        return httpx.Response(400, json={"error": {"message": "no tools"}})
    return said('{"ok": true}', usage={"prompt_tokens": 1, "completion_tokens": 1})


@pytest.mark.asyncio
async def test_what_an_endpoint_refuses_is_found_out_and_left_out() -> None:
    fake = Fake(picky, models={"data": [{"id": "m-1"}, {"id": "m-2"}]})
    target = client(fake, model="")
    can = await target.probe_capabilities()
    assert (can.reached, can.model, can.models, can.limit) == (True, "m-1", ("m-1", "m-2"), "max_completion_tokens")
    assert (can.stream, can.logprobs, can.seed, can.usage, can.json_schema, can.tools) == (False, False, False, True, True, False)
    reply = await target.ask(Call(HELLO.messages, sampling={"seed": 1}, logprobs=5, tools=({"name": "f"},)))
    assert reply.error is None
    assert fake.bodies[-1].keys() == {"model", "messages", "max_completion_tokens"}


def speechless(body: dict[str, Any]) -> httpx.Response:
    """Refuses without a word whatever has ``user``."""
    return httpx.Response(422) if "user" in body else said(usage={"prompt_tokens": 1, "completion_tokens": 1})


@pytest.mark.asyncio
async def test_an_endpoint_that_does_not_say_what_it_minds_is_asked_with_less_and_less() -> None:
    target = client(Fake(speechless))
    can = await target.probe_capabilities(tag="tm1.x")
    assert can.reached
    assert not can.user
    assert (await target.ask(HELLO, "tm1.x")).error is None


@pytest.mark.asyncio
async def test_an_endpoint_that_is_away_says_so_and_keeps_its_capabilities() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    target = TargetClient("live", Endpoint(url="http://t/v1", model="m"), transport=httpx.MockTransport(away))
    can = await target.probe_capabilities()
    assert (can.reached, can.reason, can.stream) == (False, "connect", True)


@pytest.mark.asyncio
async def test_a_budget_of_nothing_sends_nothing() -> None:
    fake = Fake(said())
    reply = await ask(fake, daily={"calls": 0})
    assert (reply.error, reply.attempts, fake.requests) == ("budget", 0, [])


@pytest.mark.asyncio
async def test_an_answer_dearer_than_its_estimate_is_remembered() -> None:
    fake = Fake(said(usage={"prompt_tokens": 900, "completion_tokens": 1}))
    target = client(fake, daily={"calls": None, "tokens": 1500})
    assert (await target.ask(HELLO)).error is None
    assert target.budget.spent().tokens == 901
    # Its hidden prompt is known now: a second one would not fit.
    assert (await target.ask(HELLO)).error == "budget"
    assert not target.budget.reserve(Cost(1, 80))


@pytest.mark.asyncio
async def test_rest_is_asked_by_its_template() -> None:
    fake = Fake(httpx.Response(200, json={"out": "yes"}))
    rest = {"body": {"q": "$INPUT"}, "answer": "/out"}
    reply = await ask(fake, url="http://t/ask", api="rest", rest=rest, model="")
    assert (reply.text, reply.error, fake.bodies) == ("yes", None, [{"q": "Hello?"}])
    assert str(fake.requests[0].url) == "http://t/ask"
    assert (await ask(Fake(httpx.Response(200, json={"in": "yes"})), url="http://t/ask", api="rest", rest=rest)).error == "no_answer"


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after": "-3"}) == 0.0
    date, later = "Sat, 21 Nov 2026 10:00:00 GMT", "Sat, 21 Nov 2026 10:00:30 GMT"
    assert retry_after({"retry-after": later, "date": date}) == 30.0
    assert retry_after({"retry-after": "soon"}) is retry_after({"retry-after": "nan"}) is retry_after({}) is None


def test_keys_come_from_the_environment_or_a_file_and_are_named_when_missing(tmp_path) -> None:
    endpoint = Endpoint(url="http://t", key_env="LIVE_KEY")
    assert api_key("targets.live", endpoint, {"LIVE_KEY": "k"}) == "k"
    assert api_key("targets.live", Endpoint(url="http://t"), {}) is None
    with pytest.raises(ConfigError, match=r"targets\.live: key_env names LIVE_KEY"):
        api_key("targets.live", endpoint, {})
    with pytest.raises(ConfigError, match="LIVE_KEY holds what no HTTP header can carry") as caught:
        api_key("targets.live", endpoint, {"LIVE_KEY": "s3cr\net"})
    assert "s3cr" not in str(caught.value)
    (tmp_path / "key").write_text("from a file\n")
    assert api_key("targets.live", Endpoint(url="http://t", key_file=tmp_path / "key"), {}) == "from a file"
    assert canary_key(Probes(), {}) is None
    assert canary_key(Probes(), {"TILTMETER_CANARY_KEY": "x" * 16}) == b"x" * 16
    with pytest.raises(ConfigError, match="at least 16 bytes"):
        canary_key(Probes(), {"TILTMETER_CANARY_KEY": "short"})


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("headers: {Authorization: Bearer x}", "holds a secret"),
        ("headers: {x-api-key: x}", "holds a secret"),
        ("url: ftp://t", "expected a URL"),
        ("url: t:8000/v1", "expected a URL"),
        ("url: http://t:99999/v1", "(?i)port"),
        ('headers: {X-Team: "a\\nb"}', "printable ASCII"),
    ],
)
def test_what_no_target_can_be_is_refused(tmp_path, line: str, what: str) -> None:
    url = "" if line.startswith("url") else "    url: http://t/v1\n"
    path = tmp_path / "c.yaml"
    path.write_text(f"source: {{kind: http}}\nmodels: {{bot: {{bundle: b}}}}\ntargets:\n  live:\n    monitors: bot\n{url}    {line}\n")
    with pytest.raises(ConfigError, match=what):
        load(path, {})


@pytest.mark.asyncio
async def test_deadlines_are_those_of_the_settings_however_slowly_bytes_come() -> None:
    async def slow():
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.02)

    fake = Fake(lambda _: httpx.Response(200, headers={"content-type": "application/json"}, content=slow()))
    start = time.monotonic()
    reply = await ask(fake, timeouts={"total": 0.2})
    assert reply.error == "timeout_total"
    assert time.monotonic() - start < 1.0


@pytest.mark.asyncio
async def test_a_compressed_answer_is_read_to_the_same_limit() -> None:
    whole = gzip.compress(said().content)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    assert (await ask(Fake(lambda _: httpx.Response(200, headers=headers, content=stream(whole))))).text == "hi"
    assert (
        await ask(Fake(lambda _: httpx.Response(200, headers=headers, content=stream(gzip.compress(b" " * 9_000_000)))))
    ).error == "too_large"
    assert (await ask(Fake(lambda _: httpx.Response(200, headers=headers, content=stream(b"no gzip"))))).error == "not_json"
    headers["content-encoding"] = "zstd"
    assert (await ask(Fake(lambda _: httpx.Response(200, headers=headers, content=stream(whole))))).error == "not_json"


async def stream(content: bytes):
    yield content


EVENT = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'


@pytest.mark.parametrize(
    ("first", "error", "text"),
    [
        (EVENT + b"data: [DONE]\n\n", None, "hi"),
        (EVENT + b'data: {"choices": [{"finish_reason": "stop"}]}\n\n', None, "hi"),
        (EVENT, "timeout_total", ""),
        (b"data: [DONE]\n\n", "no_answer", ""),
        (b": waiting\n\n", "timeout_first", ""),
    ],
)
@pytest.mark.asyncio
async def test_a_stream_that_never_closes_ends_with_what_it_has_said(first: bytes, error: str | None, text: str) -> None:
    async def endless():
        yield first
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(0.02)

    fake = Fake(lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=endless()))
    start = time.monotonic()
    reply = await ask(fake, stream=True, timeouts={"first_token": 0.3, "total": 0.6})
    assert (reply.error, reply.text) == (error, text)
    assert time.monotonic() - start < 1.0
    if b"[DONE]" in first:
        assert time.monotonic() - start < 0.5
        assert reply.seconds < 0.15
    assert (reply.first_token is not None) == (EVENT in first)


@pytest.mark.asyncio
async def test_text_that_no_encoding_takes_is_sent_all_the_same() -> None:
    fake = Fake(said())
    assert (await ask(fake, Call((Message("user", "half a pair: \ud83d"),), schema={"const": date(2026, 1, 1)}))).error is None
    assert fake.bodies[0]["messages"][0]["content"] == "half a pair: \ud83d"


@pytest.mark.asyncio
async def test_an_endpoint_that_lists_no_model_is_asked_for_its_list_once() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(200, json={"data": []}) if request.method == "GET" else said()

    target = TargetClient("live", Endpoint(url="http://t/v1", stream=False), transport=httpx.MockTransport(answer))
    for _ in range(2):
        await target.ask(HELLO)
    assert asked == ["GET", "POST", "POST"]


@pytest.mark.asyncio
async def test_a_stream_without_end_is_read_to_the_limit() -> None:
    async def endless():
        for _ in range(1000):
            yield EVENT * 1000

    fake = Fake(lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=endless()))
    assert (await ask(fake, stream=True)).error == "too_large"
