"""The toy model behind OpenAI's API: chat and text completions, streamed or not, with usage, log probabilities, tools, JSON schemas.

How badly it behaves may be set while it runs (``POST /toy``; ``GET /toy`` shows it).
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from service.main.demo.toy_model import Behaviour, ToyModel, text_of


def create_app(model: ToyModel, key: str | None = None, heard: Callable[[dict[str, Any]], None] | None = None) -> FastAPI:
    """The server.

    Args:
        model: who answers.
        key: API key that is asked for, if any.
        heard: told of every request as a request log has it (time, headers, body): what a gateway would pass on.
    """
    app = FastAPI(title="Toy endpoint", openapi_url=None)

    async def body_of(request: Request) -> dict[str, Any] | Response:
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            return _problem(401, "Incorrect API key provided.", "invalid_api_key")
        try:
            body = await request.json()
        except ValueError:
            return _problem(400, "The body is not JSON.", "invalid_json")
        if not isinstance(body, dict):
            return _problem(400, "The body is not an object.", "invalid_json")
        if heard is not None:
            headers = {name: value for name, value in request.headers.items() if name != "authorization"}
            heard({"time": time.time(), "request": {"headers": headers, "body": body}})
        return body

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": model.behaviour.model, "object": "model", "created": 0, "owned_by": "toy"}]}

    @app.get("/toy")
    async def behaviour() -> dict[str, Any]:
        return asdict(model.behaviour)

    @app.post("/toy")
    async def behave(request: Request) -> Any:
        body = await body_of(request)
        if isinstance(body, Response):
            return body
        known: dict[str, Any] = {field.name: type(field.default) for field in fields(Behaviour)}
        if unknown := body.keys() - known.keys():
            return _problem(400, f"Unknown: {min(unknown)}; known are {', '.join(known)}.", "unknown_parameter")
        model.behaviour = replace(model.behaviour, **{name: known[name](value) for name, value in body.items()})
        return asdict(model.behaviour)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Any:
        body = await body_of(request)
        if isinstance(body, Response):
            return body
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
            return _problem(400, "Missing required parameter: 'messages'.", "missing_required_parameter")
        return await _respond(Completion(model, messages, body, "chat"))

    @app.post("/v1/completions")
    async def completions(request: Request) -> Any:
        body = await body_of(request)
        if isinstance(body, Response):
            return body
        if not isinstance(body.get("prompt"), str):
            return _problem(400, "Missing required parameter: 'prompt'.", "missing_required_parameter")
        return await _respond(Completion(model, [{"role": "user", "content": body["prompt"]}], body, "text"))

    return app


def _problem(status: int, message: str, code: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}, status)


class Completion:
    """One answer, cut into tokens, in the words of OpenAI's API. ``form`` is chat or text."""

    def __init__(self, model: ToyModel, messages: list[dict[str, Any]], body: Mapping[str, Any], form: str) -> None:
        self.model, self.body, self.form = model, body, form
        found = model.answer(messages, body)
        self.tool = found if isinstance(found, tuple) else None
        pieces = re.findall(r"\s*\S+", found if isinstance(found, str) else found[1])
        limit = int(body.get("max_completion_tokens") or body.get("max_tokens") or 4096)
        self.tokens = pieces[:limit]
        self.finish = "length" if len(pieces) > limit else "tool_calls" if self.tool else "stop"
        sent = sum(len(text_of(message.get("content")).split()) + 4 for message in messages)
        self.usage = {"prompt_tokens": sent, "completion_tokens": len(self.tokens), "total_tokens": sent + len(self.tokens)}
        self.id = f"{'chatcmpl' if form == 'chat' else 'cmpl'}-{uuid.uuid4().hex}"

    def envelope(self, choices: list[dict[str, Any]], streamed: bool) -> dict[str, Any]:
        """What every body and every piece has."""
        kind = {("chat", False): "chat.completion", ("chat", True): "chat.completion.chunk"}.get((self.form, streamed), "text_completion")
        behaviour = self.model.behaviour
        head = {"id": self.id, "object": kind, "created": int(time.time()), "model": behaviour.model}
        return {**head, "system_fingerprint": behaviour.fingerprint, "choices": choices}

    def choice(self, start: int, stop: int, finish: str | None, streamed: bool) -> dict[str, Any]:
        """Tokens ``start`` to ``stop`` as a choice, whole or a piece of a stream."""
        tokens = self.tokens[start:stop]
        said = "".join(tokens)
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": self._logprobs(start, tokens)}
        if self.form == "text":
            return {**choice, "text": said}
        message: dict[str, Any] = {"role": "assistant"} if start == 0 else {}
        if self.tool is None:
            message["content"] = said
        else:
            call: dict[str, Any] = {"index": 0, "function": {"arguments": said}} if streamed else {"function": {"arguments": said}}
            if start == 0:
                call |= {"id": f"call_{self.id[-8:]}", "type": "function"}
                call["function"]["name"] = self.tool[0]
            message |= {"content": None, "tool_calls": [call]}
        return {**choice, "delta" if streamed else "message": message}

    def _logprobs(self, start: int, tokens: list[str]) -> dict[str, Any] | None:
        asked = self.body.get("logprobs")
        count = int(self.body.get("top_logprobs") or 0) if self.form == "chat" else int(asked or 0)
        if not asked:
            return None
        tops = [self.model.logprobs(token, start + i, count) for i, token in enumerate(tokens)]
        if self.form == "text":
            own = [top[0][1] for top in tops]
            return {"tokens": tokens, "token_logprobs": own, "top_logprobs": [dict(top) for top in tops], "text_offset": []}
        rows = [[{"token": word, "logprob": value, "bytes": None} for word, value in top] for top in tops]
        return {"content": [{**row[0], "top_logprobs": row[:count]} for row in rows]}

    async def pieces(self) -> AsyncIterator[str]:
        """The events of a stream."""
        behaviour = self.model.behaviour
        last = max(len(self.tokens), 1)
        await asyncio.sleep(behaviour.delay)
        for at in range(last):
            if at and behaviour.per_token:
                await asyncio.sleep(behaviour.per_token)
            yield _event(self.envelope([self.choice(at, at + 1, None, True)], True))
        yield _event(self.envelope([self.choice(last, last, self.finish, True)], True))
        if (self.body.get("stream_options") or {}).get("include_usage"):
            yield _event({**self.envelope([], True), "usage": self.usage})
        yield "data: [DONE]\n\n"


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"


async def _respond(completion: Completion) -> Response:
    if completion.body.get("stream"):
        return StreamingResponse(completion.pieces(), media_type="text/event-stream")
    behaviour = completion.model.behaviour
    await asyncio.sleep(behaviour.delay + behaviour.per_token * len(completion.tokens))
    whole = completion.choice(0, len(completion.tokens), completion.finish, False)
    return JSONResponse({**completion.envelope([whole], False), "usage": completion.usage})
