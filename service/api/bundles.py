"""Which bundle of a model is in force, how its shadow does, and the switch between the two."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from service.api.access import State, Writer
from service.api.history import Request, Submitted, known_model, submit
from service.api.state import as_json

router = APIRouter()


class BundleChange(Request):
    """Let the two bundles of a model change places."""

    action: Literal["promote", "rollback"] = Field(description="promote puts the shadow in force; rollback takes the last promotion back.")
    model: str = Field(description="Stable name of the model.")
    reason: str = Field(min_length=1, max_length=1000, description="For whoever reads this later.")
    anyway: bool = Field(False, description="For promote: also when no baseline of the shadow is accepted.")


@router.get("/v1/bundles", tags=["bundles"], summary="Which bundle is in force, and how its shadow does")
def bundles(state: State, model: Annotated[str | None, Query(description="Stable name of a model.")] = None) -> dict[str, Any]:
    """One row for each model: digests, strange share by both, how much the shadow has learned, and what it would have opened."""
    return {"bundles": [as_json(row) for row in state.status().bundles if model in (None, row.model_name)]}


@router.post("/v1/bundles", tags=["bundles"], summary="Promote the shadow or roll back", status_code=202, dependencies=[Writer])
def change_bundle(state: State, body: BundleChange) -> Submitted:
    """Each bundle keeps its record; open incidents of the model are closed, evidence begins from nothing; audited."""
    known_model(state, body.model)
    arguments = {"model": body.model, "reason": body.reason, **({"anyway": True} if body.anyway else {})}
    return submit(state, f"bundle.{body.action}", body.actor, arguments)
