import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import Endpoint
from service.probes.forms import Capabilities, form_of
from service.probes.forms.completions import as_prompt
from service.probes.sse import EventReader
from service.records.probes import Call, Message, TokenLogprob, ToolCall

CHAT = form_of(Endpoint(url="http://a/v1"))
COMPLETIONS = form_of(Endpoint(url="http://a/v1", api="completions"))
REST = form_of(
    Endpoint(url="http://a", api="rest", rest={"body": {"q": "Ask: $INPUT", "all": "$MESSAGES", "n": [1]}, "answer": "/out/0/text"})
)
CALL = Call((Message("system", "Be kind."), Message("user", "Hello?")), max_tokens=7, sampling={"temperature": 0, "seed": 3})
CAN = Capabilities(model="m")


def read(form, *bodies):
    reader = form.reader()
    for body in bodies:
        reader.take(body)
    return reader.answer()


def test_a_chat_request_has_what_the_call_asks_and_the_endpoint_takes() -> None:
    call = Call(CALL.messages, sampling={"seed": 3}, tools=({"name": "add"},), schema={"type": "object"}, logprobs=5, salt="s")
    body = CHAT.body(call, Capabilities(model="m", salt=True, limit="max_completion_tokens"), "tag")
    assert body["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}]
    assert body["tools"] == [{"type": "function", "function": {"name": "add"}}]
    assert (body["max_completion_tokens"], body["top_logprobs"], body["cache_salt"], body["user"]) == (256, 5, "s", "tag")
    assert body["stream_options"] == {"include_usage": True}
    less = CHAT.body(
        call, Capabilities(model="", stream=False, logprobs=False, seed=False, json_schema=False, tools=False, user=False), "t"
    )
    assert less.keys() == {"messages", "max_tokens"}


def test_a_conversation_becomes_one_text_for_completions() -> None:
    assert COMPLETIONS.body(CALL, CAN, "")["prompt"] == "Be kind.\n\nUser: Hello?\n\nAssistant:"
    assert as_prompt((Message("user", "2+2="),)) == "2+2="


def test_a_template_is_filled_wherever_its_places_are() -> None:
    assert REST.body(CALL, CAN, "") == {
        "q": "Ask: Hello?",
        "all": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}],
        "n": [1],
    }
    assert read(REST, {"out": [{"text": "yes"}]}).text == "yes"
    for body in ({"out": []}, {"out": [{"text": 3}]}, [], None):
        assert not read(REST, body).found


def chunk(**delta):
    finish = delta.pop("finish", None)
    return {"model": "m-2", "system_fingerprint": "fp", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_pieces_of_a_stream_are_put_together() -> None:
    call = {"index": 0, "function": {"name": "add", "arguments": '{"a"'}}
    answer = read(
        CHAT,
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk(tool_calls=[call]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        chunk(finish="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}},
    )
    assert (answer.text, answer.finish, answer.ended, answer.model, answer.fingerprint) == ("Hello", "tool_calls", True, "m-2", "fp")
    assert answer.tool_calls == (ToolCall("add", '{"a": 1}'),)
    assert (answer.tokens_in, answer.tokens_out, answer.tokens_cached) == (9, 2, 4)


def test_a_refusal_is_the_providers_own_word_or_its_filter() -> None:
    assert read(CHAT, {"choices": [{"message": {"refusal": "I will not"}, "finish_reason": "stop"}]}).refusal == "I will not"
    assert read(CHAT, {"choices": [{"message": {}, "finish_reason": "content_filter"}]}).refusal == "content_filter"
    assert read(CHAT, {"choices": [{"message": {"content": "I cannot"}, "finish_reason": "stop"}]}).refusal is None


def test_log_probabilities_are_read_in_both_forms() -> None:
    row = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}
    expected = (TokenLogprob("a", -0.5, (("a", -0.5), ("b", -1.0))),)
    assert read(CHAT, {"choices": [{"message": {"content": "a"}, "logprobs": {"content": [row]}}]}).logprobs == expected
    logprobs = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5, "b": -1}]}
    assert read(COMPLETIONS, {"choices": [{"text": "a", "logprobs": logprobs}]}).logprobs == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                """
                choices message delta content text usage prompt_tokens logprobs tokens token_logprobs top_logprobs tool_calls function
                index name arguments error model finish_reason token logprob
                """.split()  # noqa: SIM905 - words are read more easily as text
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(st.lists(JSON, max_size=4), st.sampled_from([CHAT, COMPLETIONS, REST]))
def test_whatever_an_endpoint_answers_is_read_without_an_error(bodies, form) -> None:
    answer = read(form, *bodies)
    assert isinstance(answer.text, str)
    assert all(isinstance(call.name, str) and isinstance(call.arguments, str) for call in answer.tool_calls)


EVENTS = st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5)


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 7), st.booleans())
def test_events_are_the_same_however_the_bytes_are_cut(texts, end, step, ended) -> None:
    sent = "".join(f": ping{end}event: x{end}data: {text}{end}{end}" for text in texts)
    raw = sent.encode() if ended else sent.removesuffix(end + end).encode()
    reader = EventReader()
    found = [event for at in range(0, len(raw), step) for event in reader.feed(raw[at : at + step])]
    assert [*found, *reader.finish()] == texts


def test_several_lines_of_data_are_one_event() -> None:
    assert EventReader().feed(b"data: a\ndata:b\nretry: 3\n\ndata\n\n") == ["a\nb"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_is_json(stream: bool) -> None:
    for form in (CHAT, COMPLETIONS, REST):
        json.dumps(form.body(CALL, Capabilities(model="m", stream=stream), "t"))
