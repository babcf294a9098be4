"""``POST /v1/prompts`` and ``POST /v1/score``: what comes in."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request
from pydantic import BaseModel, Field

from service.api import body
from service.api.access import State, Writer
from service.api.state import AppState, UnscorableError, as_json
from service.source.decode import Reason
from service.source.http import BadRecord, Closed, Counted, Full, TooMany

SCORE_BYTES = 1_000_000
"""Largest body of /v1/score."""

_RECORD = {
    "type": "object",
    "description": "Text at `text`, `prompt` or the last user turn of `messages`, unless `fields` in the configuration says otherwise.",
    "properties": {
        "text": {"type": "string", "description": "The prompt."},
        "model": {"type": "string", "description": "Name of the model that was asked, as mapped by `models`."},
        "id": {"type": "string", "description": "Identity of the record."},
        "time": {"type": ["string", "number"], "description": "When it was asked, if `fields.time` names this field."},
    },
    "example": {"text": "How do I reset my PIN?", "model": "support-bot", "id": "req-1"},
}
_POST = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"oneOf": [_RECORD, {"type": "array", "items": _RECORD}]}},
            "application/x-ndjson": {"schema": {"type": "string", "description": "One record a line."}},
        },
    }
}

router = APIRouter(tags=["prompts"], dependencies=[Writer])


class CountedAnswer(BaseModel):
    """Every record of the post is in the ledger."""

    counted: int = Field(description="Records of the post, durably counted once.")
    late: int = Field(description="Of these, prompts whose window had closed: left out of it and counted as late.")
    duplicate: bool = Field(description="The Idempotency-Key was counted before; nothing was added.")


class AdviceAnswer(BaseModel):
    """What a gateway is advised; a word, not an order."""

    fallback: bool | None = Field(description="Ask another model instead; null where nothing can be said.")
    reason: str = Field(description="Why, for people.")


class ScoreAnswer(BaseModel):
    """Score of one prompt."""

    model_name: str
    bundle: str = Field(description="Digest of the bundle that scored it.")
    score: float = Field(description="Higher is stranger.")
    p_value: float = Field(description="Split-conformal: share of held-out fine-tuning rows at least as strange.")
    strange: bool = Field(description="p_value <= 0.05.")
    far: bool = Field(description="p_value <= 0.01.")
    topic: list[str] = Field(description="Words of the nearest topic; empty for none of them.")
    tokens: int
    truncated: bool = Field(description="Cut at the encoder's length limit.")
    advice: AdviceAnswer = Field(description="About the model as it is now, whatever this prompt is.")


@router.post(
    "/v1/prompts",
    summary="Count prompts",
    response_model=CountedAnswer,
    openapi_extra=_POST,
    responses={
        400: {"description": "A record cannot be decoded; names its index and field. Nothing of the post is counted."},
        409: {"description": "This service takes its prompts from elsewhere."},
        413: {"description": "Too large: split the post."},
        429: {"description": "Too much is waiting; Retry-After says when to try again."},
        503: {"description": "Not confirmed in time, or shutting down: send it again with the same Idempotency-Key."},
    },
)
async def prompts(
    request: Request,
    state: State,
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="Makes a retry safe for 24 h, on any replica of the same ledger.")
    ] = None,
) -> dict[str, Any]:
    """Take one object, a list, or NDJSON. 200 means that every record in it is counted, durably and once."""
    if state.source != "http":
        raise HTTPException(409, f"this service takes its prompts from {state.source}, not over HTTP: source.kind is not http")
    loop = asyncio.get_running_loop()
    try:
        content = await body.read(request, state.max_body_bytes)
        kind = request.headers.get("content-type", "")
        # One thread: decoding is kept off the event loop, and the decoder to one thread.
        future = await loop.run_in_executor(_decoding(request), _offer, state, content, kind, idempotency_key)
    except body.Unreadable as error:
        state.refused(error.reason.value)
        raise
    except BadRecord as error:
        state.refused(error.rejection.reason.value)
        raise HTTPException(400, str(error)) from None
    try:
        counted = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), state.patience)
    except TimeoutError:
        future.add_done_callback(lambda done: done.exception())
        raise HTTPException(503, "not confirmed yet: send it again with the same Idempotency-Key", headers={"Retry-After": "10"}) from None
    except Closed as error:
        raise HTTPException(503, str(error), headers={"Retry-After": "10"}) from None
    return as_json(counted)


def _decoding(request: Request) -> ThreadPoolExecutor:
    executor: ThreadPoolExecutor = request.app.state.decoding
    return executor


def _offer(state: AppState, content: bytes, kind: str, key: str | None) -> Future[Counted]:
    """Cut and hand over one post; refusals become answers, but for those that are counted."""
    ingest = state.ingest()
    if ingest is None:
        raise HTTPException(503, "starting: not ready to count yet", headers={"Retry-After": "5"})
    try:
        return ingest.offer(body.records(content, kind), key or None)
    except TooMany as error:
        raise body.Unreadable(413, str(error), Reason.TOO_LARGE) from None
    except Full as error:
        raise HTTPException(429, str(error), headers={"Retry-After": "2"}) from None
    except Closed as error:
        raise HTTPException(503, str(error), headers={"Retry-After": "10"}) from None


@router.post(
    "/v1/score",
    summary="Score one prompt now",
    response_model=ScoreAnswer,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _RECORD}}}},
    responses={400: {"description": "No prompt of a known model in it."}, 404: {"description": "This process does not score."}},
)
async def score(request: Request, state: State) -> dict[str, Any]:
    """P-value and flags of one prompt, for a gateway that falls back to another model. The prompt is not counted."""
    if state.score is None:
        raise HTTPException(404, "this process does not score: ask a worker")
    found = body.records(await body.read(request, SCORE_BYTES), "")
    if len(found) != 1 or not isinstance(found[0], dict):
        raise HTTPException(400, "body: expected one JSON object")
    loop = asyncio.get_running_loop()
    try:
        return as_json(await loop.run_in_executor(request.app.state.scoring, state.score, found[0]))
    except UnscorableError as error:
        raise HTTPException(400, str(error)) from None
