"""The LiteLLM callback, in LiteLLM itself where it is installed, else against the signatures that its documentation gives."""

import asyncio
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tap_servers import KEY, Fake, Real, mute, real, serving, until
from tiltmeter_sender import Sender

from service.probes.tags import HEADER, sign

TAPS = Path(__file__).resolve().parents[2] / "examples" / "taps"
HOOKS = ("log_success_event", "log_failure_event", "async_log_success_event", "async_log_failure_event")


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module over a stand-in for LiteLLM's base class, which takes no part in what is tested."""
    integrations = types.ModuleType("litellm.integrations")
    logger = types.ModuleType("litellm.integrations.custom_logger")
    logger.CustomLogger = type("CustomLogger", (), {})  # type: ignore[attr-defined]
    for module in (types.ModuleType("litellm"), integrations, logger):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, "litellm_callback", raising=False)
    import litellm_callback

    yield litellm_callback
    monkeypatch.delitem(sys.modules, "litellm_callback")


def kwargs(text: str, **changes: Any) -> dict[str, Any]:
    """What LiteLLM 1.106 hands over from its proxy, cut to the fields that matter and some that must not."""
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": text}]
    payload = {
        "id": f"chatcmpl-{text}",
        "model": "hosted_vllm/deployment-7",
        "model_group": "support-bot",
        "end_user": "u1",
        "messages": messages,
        "response": {"choices": [{"message": {"content": "an answer"}}]},
        "startTime": time.time() - 1,
        "metadata": {"requester_custom_headers": {}},
    }
    headers = changes.pop("headers", {})
    settings = {"proxy_server_request": {"headers": headers, "body": {"messages": messages}}, "metadata": None}
    return {
        "call_type": "acompletion",
        "model": "hosted_vllm/deployment-7",
        "messages": messages,
        "litellm_params": settings,
        "standard_logging_object": payload | changes.pop("payload", {}),
    } | changes


def report(tap: Any, given: dict[str, Any], failed: bool = False) -> None:
    hook = tap.async_log_failure_event if failed else tap.async_log_success_event
    asyncio.run(hook(kwargs=given, response_obj=None, start_time=None, end_time=None))


def settle(service: Real, sender: Sender, accepted: int) -> None:
    until(lambda: sender.stats().accepted == accepted)


def test_what_litellm_reports_is_counted_by_the_name_that_clients_use(callback: Any) -> None:
    with real() as service:
        sender = Sender(service.url, service.token, linger=0.01)
        tap = callback.TiltmeterCallback(sender)
        report(tap, kwargs("answered"))
        tap.log_success_event(kwargs=kwargs("in a thread"), response_obj=None, start_time=None, end_time=None)
        settle(service, sender, 2)
        assert [(prompt.text, prompt.model_name, prompt.session) for prompt in service.counted] == [
            ("answered", "support-bot", "u1"),
            ("in a thread", "support-bot", "u1"),
        ]
        assert service.counted[0].id == "chatcmpl-answered"
        sender.close()


@pytest.mark.parametrize("way", ["headers", "custom headers", "user"])
def test_our_own_probes_are_told_apart(callback: Any, way: str) -> None:
    tag = sign("live", "round-1", time.time(), KEY)
    given = {
        "headers": lambda: kwargs("probe", headers={HEADER.lower(): tag}),
        "custom headers": lambda: kwargs("probe", payload={"metadata": {"requester_custom_headers": {HEADER.lower(): tag}}}),
        "user": lambda: kwargs("probe", payload={"end_user": tag}),
    }[way]()
    with real() as service:
        sender = Sender(service.url, service.token, linger=0.01)
        report(callback.TiltmeterCallback(sender), given)
        settle(service, sender, 1)
        assert service.counted == []
        assert service.returns.seen()["live"].returned == 1
        sender.close()


def test_what_is_no_prompt_is_left_out(callback: Any) -> None:
    sender = Sender("http://127.0.0.1:1", linger=60)
    tap = callback.TiltmeterCallback(sender)
    report(tap, kwargs("x", call_type="aembedding"))
    report(tap, kwargs("x", payload={"messages": [{"role": "user", "content": callback.REDACTED}]}))
    report(tap, kwargs("failed"), failed=True)
    assert sender.stats().put == 0
    report(callback.TiltmeterCallback(sender, failures=True), kwargs("failed"), failed=True)
    assert sender.stats().put == 1
    sender.close(0)


STRANGE = [{"litellm_params": "text"}, {"standard_logging_object": 7}, {"standard_logging_object": None, "messages": 7}]


@pytest.mark.parametrize("strange", STRANGE)
def test_what_another_version_hands_over_raises_nothing(callback: Any, strange: dict[str, Any]) -> None:
    with mute() as url:
        sender = Sender(url, linger=60, timeout=0.2)
        report(callback.TiltmeterCallback(sender), kwargs("x") | strange)
        stats = sender.stats()
        assert stats.put == sum(stats.dropped.values()) + stats.queued
        sender.close(0)


_IN_LITELLM = """
import asyncio, json, os, sys
sys.path.insert(0, sys.argv[1])
import litellm
from litellm_callback import tap
litellm.callbacks = [tap]
def ask(text, **more):
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": text}]
    return dict(model="gpt-4o", messages=messages, mock_response="an answer", **more)
async def main():
    await litellm.acompletion(**ask("plain", user="u1"))
    async for _ in await litellm.acompletion(**ask("streamed", stream=True)):
        pass
    await litellm.acompletion(**ask("a probe", user=sys.argv[2]))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if tap.sender.stats().put == 3:
            break
asyncio.run(main())
litellm.completion(**ask("in a thread"))
import time
while tap.sender.stats().put < 4: time.sleep(0.05)
print(json.dumps(tap.sender.close().accepted))
"""


def _python_with_litellm() -> str | None:
    """This Python, or the one that TILTMETER_LITELLM_PYTHON names: LiteLLM brings sixty packages, so it may live in its own."""
    if named := os.environ.get("TILTMETER_LITELLM_PYTHON"):
        return named
    return sys.executable if importlib.util.find_spec("litellm") else None


@pytest.mark.slow
def test_in_litellm_itself() -> None:
    python = _python_with_litellm()
    if python is None:
        pytest.skip("LiteLLM is not installed (pip install litellm, or TILTMETER_LITELLM_PYTHON=a Python that has it)")
    tag = sign("live", "round-1", time.time(), KEY)
    with serving(Fake()) as fake:
        environment = os.environ | {"TILTMETER_URL": fake.url, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        environment.pop("PYTHONPATH", None)
        command = [python, "-c", _IN_LITELLM, str(TAPS), tag]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == 4
        assert fake.texts == ["plain", "streamed", "a probe", "in a thread"]
        found = [line for _, lines, _ in fake.posts for line in lines]
        assert {line["model"] for line in found} == {"gpt-4o"}
        assert [line.get("user") for line in found] == ["u1", None, tag, None]


def test_hooks_have_the_parameters_that_litellm_names(callback: Any) -> None:
    for name in HOOKS:
        parameters = list(inspect.signature(getattr(callback.TiltmeterCallback, name)).parameters)
        assert parameters == ["self", "kwargs", "response_obj", "start_time", "end_time"]
