"""One incident, and the redacted prompts behind it: these only where they are switched on, and only with the bearer token."""

import math
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from service.api.access import State, Writer
from service.api.curation import MOST
from service.api.history import IncidentId, incident_json
from service.api.ranking import ranked
from service.api.state import AppState
from service.records import Incident

router = APIRouter()

STRANGE_ONLY = "texts are kept of strange prompts only (p at most 0.05)"

PLAIN = ("ood_share", "far_share", "new_topic")
"""Streams whose prompts are all strange, so that the kept ones are a fair picture."""

_LEAST_FAMILIAR = f"{STRANGE_ONLY}: of the topics that grew these are the least familiar prompts, not the typical ones"
_UNKNOWN = f"{STRANGE_ONLY}, and nothing kept with them says which belong to this change: these are the strange prompts of its period"


@router.get("/v1/incidents/{incident}", tags=["incidents"], summary="One incident")
def one(state: State, incident: IncidentId) -> dict[str, Any]:
    """As listed by /v1/incidents; an open one as it is now."""
    return incident_json(state.status(), _found(state, incident))


@router.get("/v1/incidents/{incident}/examples", tags=["incidents"], summary="Redacted prompts behind an incident", dependencies=[Writer])
def examples(
    state: State, incident: IncidentId, limit: Annotated[int, Query(ge=1, le=MOST, description="The first so many.")] = 20
) -> dict[str, Any]:
    """Kept strange prompts since the change began, of what grew; what stands for most of them first, near duplicates left out.

    Needs the token although it only reads: redaction is by pattern and may miss something.
    """
    if not state.show_examples or state.keep_text is None:
        raise HTTPException(404, "no examples are shown: explain.examples is none")
    queries = state.queries()
    if queries is None:
        raise HTTPException(503, "the history is not open in this process", headers={"Retry-After": "5"})
    found = _found(state, incident)
    topics, far = _sought(found)
    kept = queries.examples(
        found.model_name,
        found.change_low,
        math.inf if found.closed is None else found.closed,
        state.clock() - state.keep_text,
        MOST,
        slice=found.slice or None,
        topics=topics,
    )
    rows = ranked([example for example in kept if example.far or not far])[:limit]
    note = None if found.stream in PLAIN else _LEAST_FAMILIAR if topics else _UNKNOWN
    return {"incident": found.id, "topics": topics, "note": note, "examples": rows}


def _sought(incident: Incident) -> tuple[list[int] | None, bool]:
    """Topics that examples of an incident may have (None: any), and whether they must be far."""
    if incident.stream == "new_topic":
        return [-1], False
    if incident.stream in ("topic_mix", "embedding_shift", "combined") and incident.grew:
        return list(incident.grew), False
    return None, incident.stream == "far_share"


def _found(state: AppState, id_: str) -> Incident:
    """From the decider's own state, else from the history."""
    status = state.status()
    held = next((each for each in (*status.incidents, *status.joined, *status.recent) if each.id == id_), None)
    queries = state.queries()
    found = held or (queries.incident(id_) if queries else None)
    if found is None:
        raise HTTPException(404, "no such incident is known")
    return found
