"""OpenAI's text completions: base models that have no chat template."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from service.probes.forms.chat import common
from service.probes.forms.contract import Answer, Capabilities, identity, number, rows, text, usage
from service.records.probes import Call, Message, TokenLogprob

_NAMES = {"user": "User", "assistant": "Assistant", "tool": "Tool"}


def as_prompt(messages: tuple[Message, ...]) -> str:
    """One text of a conversation: the only turn of a user as it is, else turns with names, the system prompt before them."""
    if len(messages) == 1 and messages[0].role == "user":
        return messages[0].content
    turns = [f"{_NAMES[message.role]}: {message.content}" if message.role in _NAMES else message.content for message in messages]
    return "\n\n".join([*turns, "Assistant:"])


class Completions:
    """``/completions``. Tools and schemas have no place here and are left out."""

    path = "/completions"
    streams = True

    def body(self, call: Call, can: Capabilities, tag: str) -> Any:
        """The request's JSON."""
        body = common(call, can, tag)
        body["prompt"] = as_prompt(call.messages)
        if call.logprobs and can.logprobs:
            body["logprobs"] = call.logprobs
        return body

    def reader(self) -> "CompletionsReader":
        """For one answer."""
        return CompletionsReader()


class CompletionsReader:
    """Reads whole answers and pieces of a stream alike: both have ``text``."""

    def __init__(self) -> None:
        self.grew = False
        self._answer = Answer()
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def take(self, body: Any) -> None:
        """A body or a piece of a stream."""
        answer = self._answer
        self.grew = False
        if not isinstance(body, Mapping):
            return
        answer.broken = answer.broken or bool(body.get("error"))
        identity(answer, body)
        usage(answer, body)
        for choice in rows(body.get("choices"))[:1]:
            answer.found = True
            piece = text(choice.get("text"))
            self.grew = bool(piece)
            self._texts.append(piece)
            if finish := text(choice.get("finish_reason")):
                answer.finish, answer.ended = finish, True
            self._take_logprobs(choice.get("logprobs"))

    def _take_logprobs(self, found: Any) -> None:
        if not isinstance(found, Mapping):
            return
        tokens, own, tops = (found.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
        if not isinstance(tokens, list) or not isinstance(own, list):
            return
        for token, value, top in zip_longest(tokens, own, tops if isinstance(tops, list) else ()):
            logprob = number(value)
            if logprob is not None:
                pairs = ((name, number(each)) for name, each in top.items()) if isinstance(top, Mapping) else ()
                self._logprobs.append(TokenLogprob(text(token), logprob, tuple((name, each) for name, each in pairs if each is not None)))

    def answer(self) -> Answer:
        """All of it so far."""
        answer = self._answer
        answer.text = "".join(self._texts)
        answer.refusal = "content_filter" if answer.finish == "content_filter" else None
        answer.logprobs = tuple(self._logprobs)
        return answer
