"""Strange prompts of a period, redacted, clustered and ranked. Behind the bearer token, and only where storing text is switched on."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from service.api.access import State, Writer
from service.api.ranking import ranked

router = APIRouter()

MOST = 1500
"""Kept texts that are looked at, the strangest."""


@router.get("/v1/curation", tags=["history"], summary="Strange prompts of a period, ready for labelling", dependencies=[Writer])
def curation(
    state: State,
    model: Annotated[str, Query(description="Stable name of a model.")],
    since: Annotated[datetime | None, Query(description="Prompts of this time or later: ISO 8601 or epoch seconds.")] = None,
    until: Annotated[datetime | None, Query(description="Prompts before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="The first so many.")] = 200,
) -> dict[str, Any]:
    """Redacted texts, near duplicates left out, the clusters that would widen the fine-tuning set most first.

    Needs the token although it only reads: redaction is by pattern and may miss something.
    """
    if state.keep_text is None:
        raise HTTPException(404, "no text is stored: curation.store_text is none")
    queries = state.queries()
    if queries is None:
        raise HTTPException(503, "the history is not open in this process", headers={"Retry-After": "5"})
    kept = queries.examples(model, _seconds(since, -math.inf), _seconds(until, math.inf), state.clock() - state.keep_text, MOST)
    return {"examples": ranked(kept)[:limit]}


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return otherwise if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
