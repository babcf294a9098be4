"""What is sent is what the service would have read, and nothing else."""

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tiltmeter_record import prompt_record

from service.config import Fields, Model
from service.source.decode import Decoder
from service.source.text import MISSING, find_session, find_text

words = st.text("abc \n", max_size=4)
parts = st.lists(
    st.one_of(
        words,
        st.fixed_dictionaries({"type": st.sampled_from(["text", "input_text", "image_url", "tool_result"])}, optional={"text": words}),
        st.fixed_dictionaries({"type": st.just("text"), "content": words}),
    ),
    max_size=3,
)
content = st.one_of(words, parts, st.none())
roles = st.sampled_from(["system", "user", "assistant", "human"])
turns = st.lists(st.fixed_dictionaries({"role": roles}, optional={"content": content, "parts": parts}), max_size=4)
names = st.fixed_dictionaries({}, optional={name: words for name in ("user", "session_id", "thread_id", "safety_identifier")})
fields = {
    "messages": turns,
    "prompt": st.one_of(words, parts),
    "input": st.one_of(words, turns, parts),
    "metadata": names,
    "user": words,
    "conversation": st.fixed_dictionaries({"id": words}),
}
bodies = st.fixed_dictionaries({}, optional=fields)


@given(bodies)
def test_what_is_sent_is_what_the_service_would_have_read_from_the_whole_request(body: dict[str, Any]) -> None:
    record = prompt_record(body)
    text = find_text(body)
    if record is None:
        assert text is None or not text.strip()
    else:
        assert record["text"] == text
        assert find_session(dict(record)) in (find_session(body), MISSING)
        assert find_session(body) is not MISSING or find_session(dict(record)) is MISSING


def test_a_record_has_nothing_that_is_not_needed() -> None:
    body = {
        "model": "support-bot",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "first"}, {"role": "user", "content": "hello"}],
        "tools": [{"type": "function"}],
        "user": "u1",
    }
    record = prompt_record(body, {"X-Tiltmeter-Canary": "tm1.x", "Authorization": "Bearer k", "x-request-id": "r1"})
    assert record is not None
    assert abs(record["time"] - time.time()) < 5
    assert {name: record[name] for name in record if name != "time"} == {
        "text": "hello", "model": "support-bot", "user": "u1", "canary": "tm1.x", "id": "r1",
    }  # fmt: skip
    decoded = Decoder(Fields(), {"support-bot": Model(bundle="b")}, 20.0).decode(json.dumps(record).encode(), time.time(), "x")
    assert (decoded.text, decoded.id, decoded.session) == ("hello", "r1", "u1")  # type: ignore[union-attr]
