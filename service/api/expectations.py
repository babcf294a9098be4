"""Announced changes: what is expected of one topic or slice opens a ticket at most."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import AwareDatetime, Field

from service.api.access import State, Writer
from service.api.history import Request, Submitted, submit
from service.api.state import as_json

router = APIRouter()


class Announcement(Request):
    """A change that nobody is to be woken for, or the end of one."""

    action: Literal["add", "remove"] = Field("add", description="remove takes the expectation with the id `expectation` back.")
    model: str = Field(description="Stable name of the model.")
    topic: str | None = Field(None, max_length=200, description="Number of a reference topic, some of its words, or `none`.")
    slice: str | None = Field(None, max_length=200, description="A configured slice; instead of a topic.")
    until: AwareDatetime | None = Field(None, description="Event time up to which it holds: ISO 8601 with a time zone.")
    reason: str | None = Field(None, min_length=1, max_length=1000, description="For whoever reads this later.")
    expectation: str | None = Field(None, max_length=100, description="For remove: the id.")


@router.get("/v1/expectations", tags=["expectations"], summary="Announced changes that still hold")
def expectations(state: State, model: Annotated[str | None, Query(description="Stable name of a model.")] = None) -> dict[str, Any]:
    """The soonest to end first, model by model."""
    return {"expectations": [as_json(row) for row in state.status().expectations if model in (None, row.model_name)]}


@router.post("/v1/expectations", tags=["expectations"], summary="Announce a change or take it back", status_code=202, dependencies=[Writer])
def announce(state: State, body: Announcement) -> Submitted:
    """While it holds, a crossing that this topic carries, or one of any stream of this slice, opens a ticket at most; audited."""
    known = [model.name for model in state.status().models]
    if known and body.model not in known:
        raise HTTPException(404, f"model: no model is called {body.model!r}; known: {', '.join(known)}")
    if body.action == "remove":
        if body.expectation is None:
            raise HTTPException(422, "expectation: needed for remove")
        return submit(state, "expect.remove", body.actor, {"model": body.model, "expectation": body.expectation})
    if (body.topic is None) == (body.slice is None):
        raise HTTPException(422, "topic, slice: exactly one of them is needed")
    if body.until is None or body.reason is None:
        raise HTTPException(422, "until, reason: both are needed")
    what = {"topic": body.topic} if body.slice is None else {"slice": body.slice}
    arguments = {"model": body.model, **what, "until": body.until.timestamp(), "reason": body.reason}
    return submit(state, "expect.add", body.actor, arguments)
