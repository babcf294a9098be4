"""Announced deployments: a model that answers otherwise just after one was not swapped silently."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from service.api.access import State, Writer
from service.api.history import Request, Submitted, known_model, submit
from service.api.state import as_json

router = APIRouter(tags=["deployments"])


class Announced(Request):
    """What is deployed, or is about to be."""

    model: str = Field(description="Stable name of the model.")
    revision: str = Field(min_length=1, max_length=200, description="What is deployed, as your release names it.")
    reason: str = Field(min_length=1, max_length=1000, description="For whoever reads this later.")


@router.get("/v1/deployments", summary="Announced deployments, newest first")
def deployments(state: State, model: Annotated[str | None, Query(description="Stable name of a model.")] = None) -> dict[str, Any]:
    """The newest of every model, at most ten of each, as the decider remembers them."""
    return {"deployments": [as_json(row) for row in reversed(state.status().deployments) if model in (None, row.model_name)]}


@router.post("/v1/deployments", summary="Announce a deployment", status_code=202, dependencies=[Writer])
def announce(state: State, body: Announced) -> Submitted:
    """Fingerprints that change within a day of it are no news, those that changed just before it are explained; audited.

    What its answers are worth is another question: another model is on trial against the last accepted record, announced or not.
    """
    known_model(state, body.model)
    return submit(state, "deployment.add", body.actor, {"model": body.model, "revision": body.revision, "reason": body.reason})
