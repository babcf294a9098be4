"""OpenAI's chat completions: vLLM, TGI, Ollama, SGLang, llama.cpp, ``transformers serve`` and hosted ones."""

from collections.abc import Mapping
from typing import Any

from service.probes.forms.contract import Answer, Capabilities, identity, number, rows, text, usage
from service.records.probes import Call, TokenLogprob, ToolCall

_CALLS_KEPT = 128
"""A tool call's index comes from the endpoint; what we remember is not without bound."""


def common(call: Call, can: Capabilities, tag: str) -> dict[str, Any]:
    """What chat and completions have in common."""
    # A server of a single model may list none and need none.
    body: dict[str, Any] = {"model": can.model} if can.model else {}
    body[can.limit] = call.max_tokens
    body |= {name: value for name, value in call.sampling.items() if name != "seed" or can.seed}
    if can.stream:
        body["stream"] = True
        if can.usage:
            body["stream_options"] = {"include_usage": True}
    if tag and can.user:
        body["user"] = tag
    if call.salt and can.salt:
        body["cache_salt"] = call.salt
    return body


class Chat:
    """``/chat/completions``."""

    path = "/chat/completions"
    streams = True

    def body(self, call: Call, can: Capabilities, tag: str) -> Any:
        """The request's JSON."""
        body = common(call, can, tag)
        body["messages"] = [{"role": message.role, "content": message.content} for message in call.messages]
        if call.tools and can.tools:
            # An OpenAI function is wrapped; packs may write it with or without its wrapping.
            body["tools"] = [dict(tool) if "function" in tool else {"type": "function", "function": dict(tool)} for tool in call.tools]
        if call.schema is not None and can.json_schema:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(call.schema)}}
        if call.logprobs and can.logprobs:
            body |= {"logprobs": True, "top_logprobs": call.logprobs}
        return body

    def reader(self) -> "ChatReader":
        """For one answer."""
        return ChatReader()


class ChatReader:
    """Reads whole answers (``message``) and pieces of a stream (``delta``) alike."""

    def __init__(self) -> None:
        self.grew = False
        self._answer = Answer()
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._calls: dict[int, tuple[list[str], list[str]]] = {}

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
            if finish := text(choice.get("finish_reason")):
                answer.finish, answer.ended = finish, True
            for said in (choice.get("message"), choice.get("delta")):
                if isinstance(said, Mapping):
                    self._take_said(said)
            self._take_logprobs(choice.get("logprobs"))

    def _take_said(self, said: Mapping[str, Any]) -> None:
        piece, refusal = text(said.get("content")), text(said.get("refusal"))
        self._texts.append(piece)
        self._refusals.append(refusal)
        calls = rows(said.get("tool_calls"))
        # A model that thinks aloud first has begun to answer.
        self.grew = bool(piece or refusal or calls or said.get("reasoning_content") or said.get("reasoning"))
        for position, call in enumerate(calls):
            index = call.get("index")
            index = index if isinstance(index, int) else position
            function = call.get("function")
            if not isinstance(function, Mapping) or (index not in self._calls and len(self._calls) >= _CALLS_KEPT):
                continue
            names, arguments = self._calls.setdefault(index, ([], []))
            names.append(text(function.get("name")))
            arguments.append(text(function.get("arguments")))

    def _take_logprobs(self, found: Any) -> None:
        if not isinstance(found, Mapping):
            return
        for row in rows(found.get("content")):
            own = number(row.get("logprob"))
            if own is not None:
                pairs = ((text(top.get("token")), number(top.get("logprob"))) for top in rows(row.get("top_logprobs")))
                top = tuple((token, value) for token, value in pairs if value is not None)
                self._logprobs.append(TokenLogprob(text(row.get("token")), own, top))

    def answer(self) -> Answer:
        """All of it so far."""
        answer = self._answer
        answer.text = "".join(self._texts)
        answer.refusal = "".join(self._refusals) or ("content_filter" if answer.finish == "content_filter" else None)
        answer.tool_calls = tuple(ToolCall("".join(names), "".join(arguments)) for _, (names, arguments) in sorted(self._calls.items()))
        answer.logprobs = tuple(self._logprobs)
        return answer
