"""Vector's configuration: what it makes of a request log, and that the service counts it. No Vector can be had by a package client;
its language can (vector-vrl, Python 3.12 or later), so the programs are run by the real compiler where that is at hand."""

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tap_servers import KEY, real

from service.probes.tags import HEADER, sign

CONFIG = Path(__file__).resolve().parents[2] / "examples" / "taps" / "vector.yaml"
VECTOR: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
NOW = time.time()
TAG = sign("live", "round-1", NOW, KEY)


def chat(text: Any, **more: Any) -> dict[str, Any]:
    return {"model": "support-bot", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": text}], **more}


def logged(body: Any, **headers: str) -> dict[str, Any]:
    return {"id": "r1", "time": NOW, "request": {"headers": {"host": "gateway", **headers}, "body": body}}


RECORD = {"text": "hello", "model": "support-bot", "id": "r1", "time": NOW}
PARTS = [{"type": "text", "text": "hel"}, {"type": "image_url"}, {"type": "text", "text": "lo"}]
CASES: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "chat": (logged(chat("hello")), RECORD),
    "user": (logged(chat("hello", user="u1")), RECORD | {"user": "u1"}),
    "parts": (logged(chat(PARTS)), RECORD | {"text": "hel\nlo"}),
    "bare body": (chat("hello"), {"text": "hello", "model": "support-bot"}),
    "prompt": (logged({"model": "other-bot", "prompt": "hello"}), RECORD | {"model": "other-bot"}),
    "two lines": (logged(chat("one\ntwo")), RECORD | {"text": "one\ntwo"}),
    "long": (logged(chat("x" * 30_000)), RECORD | {"text": "x" * 20_000}),
    "canary": (logged(chat("a probe"), **{HEADER.lower(): TAG}), RECORD | {"text": "a probe", "canary": TAG}),
    "no question": (logged({"model": "support-bot", "messages": [{"role": "system", "content": "be kind"}]}), None),
    "empty": (logged(chat("  ")), None),
    "tool result": (logged(chat([{"type": "tool_result", "content": "7"}])), None),
    "embedding": (logged({"model": "support-bot"}), None),
}  # fmt: skip


def test_the_service_counts_what_a_post_holds() -> None:
    records = [record for _, record in CASES.values() if record is not None]
    with real() as service:
        headers = {"Authorization": f"Bearer {service.token}", "Idempotency-Key": str(uuid.uuid4()), "Content-Type": "text/plain"}
        body = "\n".join(json.dumps(record) for record in records)
        answer = httpx.post(f"{service.url}/v1/prompts", content=body, headers=headers, timeout=10)
        assert answer.json() == {"counted": len(records) - 1, "late": 0, "duplicate": False}
        assert [prompt.text for prompt in service.counted] == [record["text"] for record in records if "canary" not in record]
        assert service.returns.seen()["live"].returned == 1
        assert service.posts == [(headers["Idempotency-Key"], len(records) - 1)]


def test_the_sink_posts_to_the_right_place_bounded_and_under_a_key() -> None:
    sink = VECTOR["sinks"]["tiltmeter"]
    assert sink["uri"].endswith(":9108/v1/prompts")
    assert sink["request"]["headers"] == {"Idempotency-Key": "{{ key }}"}
    assert sink["request"]["timeout_secs"] == 5
    assert sink["batch"] == {"max_events": 1}
    assert sink["buffer"]["when_full"] == "drop_newest"
    assert sink["auth"]["token"] == "${TILTMETER_TOKEN}"
    inputs = {name: part["inputs"] for kind in ("transforms", "sinks") for name, part in VECTOR[kind].items()}
    assert inputs == {"prompts": ["requests"], "posts": ["prompts"], "keyed": ["posts"], "tiltmeter": ["keyed"]}
    longest = VECTOR["transforms"]["posts"]["max_events"] * 20_000 * 4
    assert longest <= 8_000_000, "a post may be longer than source.max_body_bytes allows"


_RUN = """
import json, sys
from vector_vrl import execute_vrl, validate_vrl
job = json.load(sys.stdin)
for program in job["programs"]:
    checked = validate_vrl(program)
    assert checked.success, checked
def run(program, event):
    try:
        return execute_vrl(program, [json.dumps(event)])
    except Exception as error:
        return [{"error": str(error)}]
print(json.dumps([run(job["programs"][0], event) for event in job["events"]]))
print(json.dumps(run(job["programs"][1], {"record": "a\\nb"})))
"""


def test_the_real_language_makes_the_records_that_are_posted() -> None:
    python = os.environ.get("TILTMETER_VRL_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import vector_vrl"], capture_output=True).returncode:
        pytest.skip("no vector-vrl in this Python (pip install vector-vrl needs 3.12; or TILTMETER_VRL_PYTHON=a Python that has it)")
    programs = [VECTOR["transforms"][name]["source"] for name in ("prompts", "keyed")]
    lines = [*(json.dumps(line) for line, _ in CASES.values()), "no JSON", "[1]"]
    job = {"programs": programs, "events": [{"message": line, "file": "requests.jsonl"} for line in lines]}
    done = subprocess.run([python, "-c", _RUN], input=json.dumps(job), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    made, keyed = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    for (name, (_, expected)), events in zip([*CASES.items(), ("no JSON", (0, None)), ("a list", (0, None))], made, strict=True):
        records = [json.loads(event["record"]) for event in events if "record" in event]
        assert records == ([] if expected is None else [expected]), name
        assert all(event.keys() <= {"record", "error"} for event in events if expected is not None), name
    assert keyed[0]["message"] == "a\nb"
    assert uuid.UUID(keyed[0]["key"])


def test_vector_validates_it() -> None:
    vector = os.environ.get("TILTMETER_VECTOR") or shutil.which("vector")
    if vector is None:
        pytest.skip("no vector on the path")
    environment = os.environ | {"TILTMETER_TOKEN": "opensesame"}
    done = subprocess.run([vector, "validate", "--no-environment", str(CONFIG)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
