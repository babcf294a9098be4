import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Fields, Model, Slices
from service.records import Prompt
from service.source.decode import MAX_BYTES, Decoder, Reason, Rejection, parse_time

AT = 1_700_000_000.0
ONE = {"bot": Model(bundle=Path("b"))}
TWO = {"bot": Model(bundle=Path("b"), wire_names=["bot-*", "bot-special"]), "tuned": Model(bundle=Path("c"), wire_names=["bot-x*", "gpt"])}


def decoded(record: Any, *, models: dict[str, Model] = ONE, **fields: Any) -> Prompt | Rejection:
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    return Decoder(Fields(**fields), models, 20.0).decode(raw, AT, "t/0@7")


def prompt(record: Any, **options: Any) -> Prompt:
    found = decoded(record, **options)
    assert isinstance(found, Prompt), found
    return found


def reason(record: Any, **options: Any) -> Reason:
    found = decoded(record, **options)
    assert isinstance(found, Rejection), found
    return found.reason


CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "hello"},
    {"role": "user", "content": "hi"},
]


@pytest.mark.parametrize(
    "record",
    [
        {"text": "hi"},
        {"prompt": "hi"},
        {"prompt": ["hi"]},
        {"messages": CHAT},
        {"messages": [*CHAT, {"role": "assistant", "content": "answer"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "hi"}]}]},
        {"messages": [*CHAT, {"role": "user", "content": [{"type": "tool_result", "content": "42"}]}]},
        {"input": "hi"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]},
        {"request": {"body": {"model": "bot", "messages": CHAT}}, "response": {"status_code": 200}},
        {"request": {"body": json.dumps({"messages": CHAT})}},
        {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "bot", "messages": CHAT}},
        {"specversion": "1.0", "type": "prompt", "source": "gw", "id": "9", "data": {"messages": CHAT}},
        {"specversion": "1.0", "data": {"request": {"body": {"messages": CHAT}}}},
        {"id": "chatcmpl-1", "model": "bot", "messages": CHAT, "response": {}, "startTime": 1.0, "metadata": {"user_api_key": None}},
        {"name": "chat bot", "attributes": {"gen_ai.request.model": "bot", "gen_ai.input.messages": json.dumps(CHAT)}},
        {"attributes": {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]}},
    ],
)
def test_the_prompt_is_found_where_people_put_it(record: dict[str, Any]) -> None:
    assert prompt(record).text == "hi"


def test_a_pointer_or_name_says_where_the_text_is() -> None:
    assert prompt({"a": {"b/c": ["x", "hi"]}}, text="/a/b~1c/1").text == "hi"
    assert prompt({"turns": CHAT, "text": "not this"}, text="turns").text == "hi"
    rejection = decoded({"text": "hi"}, text="/a/b")
    assert rejection == Rejection(Reason.NO_TEXT, "nothing readable at '/a/b'")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xff\xfe{", Reason.NOT_UTF8),
        (b"", Reason.NOT_JSON),
        (b"{'text': 1}", Reason.NOT_JSON),
        (b'{"text": "hi"', Reason.NOT_JSON),
        (b'{"n": ' + b"9" * 5000 + b"}", Reason.NOT_JSON),
        (b"[" * 100_000, Reason.TOO_DEEP),
        (b'{"a":' * 100_000, Reason.TOO_DEEP),
        (b'{"text": "' + b"x" * MAX_BYTES + b'"}', Reason.TOO_LARGE),
        (b"[1]", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b'"text"', Reason.NOT_AN_OBJECT),
        (b"{}", Reason.NO_TEXT),
        (b'{"text": 5}', Reason.NO_TEXT),
        (b'{"messages": []}', Reason.NO_TEXT),
        (b'{"messages": [{"role": "system", "content": "x"}]}', Reason.NO_TEXT),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', Reason.NO_TEXT),
        (b'{"text": ""}', Reason.EMPTY_TEXT),
        (b'{"text": " \\n\\t"}', Reason.EMPTY_TEXT),
        (b'{"text": "hi", "model": "other"}', Reason.UNKNOWN_MODEL),
        (b'{"text": "hi", "model": {"name": "bot"}}', Reason.UNKNOWN_MODEL),
    ],
)
def test_what_is_no_prompt_is_told_by_reason(raw: bytes, expected: Reason) -> None:
    assert reason(raw) == expected


def test_a_rejection_never_quotes_the_record() -> None:
    for raw in (b'{"text": "private"', b'{"question": "private"}', b'"private"', b'{"text": "private", "model": "private"}', b"private"):
        found = decoded(raw)
        assert isinstance(found, Rejection)
        assert "private" not in found.detail


def test_odd_characters_are_kept_and_lone_surrogates_replaced() -> None:
    assert prompt(b'{"text": "nul \\u0000 \\ud83d\\ude00"}').text == "nul \0 \U0001f600"
    assert prompt(b'{"text": "broken \\ud800 half", "id": "\\udfff"}').text == "broken \ufffd half"
    assert prompt(b"\xef\xbb\xbf" + b'{"text": "with a byte order mark"}').text == "with a byte order mark"


class TestModelName:
    @pytest.mark.parametrize(
        ("wire", "name"),
        [
            ("bot", "bot"),
            ("bot-1", "bot"),
            ("bot-special", "bot"),
            ("bot-x1", "tuned"),
            ("gpt", "tuned"),
            ("tuned", "tuned"),
            ("Bot", None),
        ],
    )
    def test_exact_names_beat_patterns_and_long_patterns_short_ones(self, wire: str, name: str | None) -> None:
        found = decoded({"text": "hi", "model": wire}, models=TWO)
        assert (found.model_name if isinstance(found, Prompt) else None) == name

    def test_only_the_star_is_special(self) -> None:
        models = {"a": Model(bundle=Path("b"), wire_names=["x[1]?*"])}
        assert prompt({"text": "hi", "model": "x[1]?-2"}, models=models).model_name == "a"
        assert reason({"text": "hi", "model": "x1y"}, models=models) == Reason.UNKNOWN_MODEL

    def test_a_record_without_a_name_belongs_to_the_only_model(self) -> None:
        assert prompt({"text": "hi"}).model_name == "bot"
        assert reason({"text": "hi"}, models=TWO) == Reason.UNKNOWN_MODEL

    def test_the_name_is_found_in_the_request_too(self) -> None:
        assert prompt({"request": {"body": {"model": "gpt", "messages": CHAT}}}, models=TWO).model_name == "tuned"
        assert (
            prompt({"request": {"body": {"model": "gpt", "messages": CHAT}}}, models=TWO, text="/request/body/messages").model_name
            == "tuned"
        )
        assert prompt({"text": "hi", "meta": {"m": "gpt"}}, models=TWO, model="/meta/m").model_name == "tuned"

    def test_memory_of_unknown_names_is_bounded(self) -> None:
        decoder = Decoder(Fields(), ONE, 20.0)
        for i in range(20_000):
            decoder.decode({"text": "hi", "model": f"m{i}"}, AT, "x")
        assert len(decoder._names) <= 10_000


def test_slices_that_are_not_configured_are_folded_into_other() -> None:
    models = {"bot": Model(bundle=Path("b"), slices=Slices(values=["acme", "7", "true"]))}
    found = {
        str(value): prompt({"text": "hi", "tenant": value}, models=models, slice="tenant").slice
        for value in ("acme", "x", 7, True, None, [])
    }
    assert found == {"acme": "acme", "x": "other", "7": "7", "True": "true", "None": "other", "[]": "other"}
    assert prompt({"text": "hi"}, models=models, slice="tenant").slice == "other"
    assert prompt({"text": "hi", "tenant": "acme"}, slice="tenant").slice == ""
    assert prompt({"text": "hi", "tenant": "acme"}, models=models).slice == ""


def test_identity_is_the_records_own_or_its_place() -> None:
    assert prompt({"text": "hi"}).id == "t/0@7"
    assert prompt({"text": "hi", "id": "abc"}).id == "abc"
    assert prompt({"text": "hi", "id": 5}).id == "5"
    assert prompt({"text": "hi", "id": ""}).id == "t/0@7"
    assert prompt({"text": "hi", "key": "k"}, id="key").id == "k"


class TestTime:
    @pytest.mark.parametrize(
        "value",
        [
            AT,
            AT * 1000,
            int(AT * 1_000_000),
            int(AT * 1_000_000_000),
            str(AT),
            "2023-11-14T22:13:20Z",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14 22:13:20",
        ],
    )
    def test_units_are_told_apart(self, value: Any) -> None:
        assert parse_time(value) == pytest.approx(AT)

    @pytest.mark.parametrize(
        "value", [None, True, "noon", "", [], {}, float("nan"), float("inf"), "1e999", 10**400, "0001-01-01T00:00:00+23:59"]
    )
    def test_what_is_no_time_is_none(self, value: Any) -> None:
        assert parse_time(value) is None or abs(parse_time(value) or 0) > 1e10

    @pytest.mark.parametrize(
        ("own", "believed"), [(AT + 20, True), (AT - 20, True), (AT + 20.1, False), (0, False), (4_070_908_800, False)]
    )
    def test_the_records_own_time_is_believed_only_near_the_transports(self, own: float, believed: bool) -> None:
        decoder = Decoder(Fields(time="at"), ONE, 20.0)
        found = decoder.decode({"text": "hi", "at": own}, AT, "x")
        assert isinstance(found, Prompt)
        assert found.time == (own if believed else AT)
        assert decoder.replaced_times == (0 if believed else 1)

    def test_a_missing_time_is_the_transports_and_is_not_counted(self) -> None:
        decoder = Decoder(Fields(time="at"), ONE, 20.0)
        found = decoder.decode({"text": "hi"}, AT, "x")
        assert isinstance(found, Prompt)
        assert (found.time, decoder.replaced_times) == (AT, 0)

    def test_where_only_the_record_knows_the_time_it_must_say_it(self) -> None:
        decoder = Decoder(Fields(time="at"), ONE, 20.0)
        found = decoder.decode({"text": "hi", "at": "noon"}, None, "x")
        assert found == Rejection(Reason.BAD_TIME, "no time at 'at'")


@given(st.binary(max_size=200))
def test_no_bytes_are_fatal(raw: bytes) -> None:
    assert isinstance(decoded(raw), Prompt | Rejection)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
names = st.sampled_from(["text", "prompt", "messages", "input", "request", "body", "data", "attributes", "model", "id", "at", "tenant"])


@given(st.dictionaries(names, json_values))
def test_no_record_is_fatal_and_every_prompt_can_be_encoded(record: dict[str, Any]) -> None:
    models = {"bot": Model(bundle=Path("b"), wire_names=["*"], slices=Slices(values=["a"]))}
    found = Decoder(Fields(time="at", slice="tenant"), models, 20.0).decode(record, AT, "x")
    if isinstance(found, Prompt):
        found.text.encode()
        found.id.encode()
        assert abs(found.time - AT) <= 20.0
        assert found.text.strip()


def test_an_encoded_cloud_event_is_no_prompt() -> None:
    assert reason({"specversion": "1.0", "data_base64": base64.b64encode(b"hi").decode()}) == Reason.NO_TEXT


@pytest.mark.parametrize(
    ("record", "session"),
    [
        ({"text": "hi"}, ""),
        ({"text": "hi", "session_id": "s1", "user": "u1"}, "s1"),
        ({"text": "hi", "conversation": {"id": "c1"}}, "c1"),
        ({"text": "hi", "conversation_id": "", "user": 7}, "7"),
        ({"text": "hi", "metadata": {"session_id": "s2"}}, "s2"),
        ({"messages": CHAT, "model": "bot", "end_user": "e1"}, "e1"),
        ({"request": {"body": {"messages": CHAT, "user": "u2"}}}, "u2"),
        ({"request": {"body": json.dumps({"messages": CHAT, "metadata": {"conversation_id": "c2"}})}}, "c2"),
        ({"data": {"messages": CHAT, "safety_identifier": "x1"}}, "x1"),
        ({"attributes": {"gen_ai.prompt": "hi", "gen_ai.conversation.id": "c3", "user.id": "u3"}}, "c3"),
        ({"attributes": {"gen_ai.prompt": "hi", "session.id": "s4"}}, "s4"),
        ({"text": "hi", "user": True}, ""),
        ({"text": "hi", "user": ["u1"]}, ""),
        ({"text": "hi", "user": None, "metadata": None}, ""),
    ],
)
def test_sessions_of_the_usual_records(record: Any, session: str) -> None:
    assert prompt(record).session == session


def test_a_session_field_is_the_only_place_looked_at() -> None:
    assert prompt({"text": "hi", "user": "u1", "call": {"id": "c1"}}, session="/call/id").session == "c1"
    assert prompt({"text": "hi", "user": "u1"}, session="/call/id").session == ""


def test_records_nested_without_end_are_no_trouble() -> None:
    nested: dict[str, Any] = {"text": "hi"}
    for name in ("data", "metadata", "body") * 200:
        nested = {"text": "hi", name: nested}
    assert prompt(nested).session == ""
