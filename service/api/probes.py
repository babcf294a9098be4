"""Canary probes: what is asked and when, the newest answers, and asking now."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from service.api.access import State, Writer
from service.api.history import Request
from service.api.state import AppState, as_json
from service.records.probes import Round
from service.store import ProbeHistory

router = APIRouter(tags=["probes"])

Target = Annotated[str | None, Query(description="Name of a live target.")]
Suite = Annotated[str | None, Query(description="PACK/SUITE.")]
RoundId = Annotated[str | None, Query(alias="round", description="Id of a round.")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="The newest so many.")]

NOT_HERE = "probes are asked by the active decider, and this process is not it"


class AskNow(Request):
    """Which suites to ask now; without anything all of them."""

    target: str | None = Field(None, max_length=200, description="Only at this live target.")
    suite: str | None = Field(None, max_length=200, description="Only this suite: PACK/SUITE.")


class Asking(BaseModel):
    """Rounds on their way."""

    rounds: list[str] = Field(description="Ids; /v1/probes/rounds tells what became of them.")


@router.get("/v1/probes", summary="What is asked, when, and what came of it last")
def probes(state: State) -> dict[str, Any]:
    """Every suite at every live target with its next and its last round, and what is left of each endpoint's daily budget."""
    found = state.probes()
    if found is None:
        raise HTTPException(404, "no probes are asked by this process")
    return dict(found)


@router.post("/v1/probes", summary="Ask now", dependencies=[Writer], status_code=202)
def ask(state: State, given: AskNow) -> Asking:
    """Ask suites at once, beside their schedule. The answers are graded and kept, and are no evidence: that is for the schedule alone."""
    if state.probes() is None:
        raise HTTPException(404, "no probes are asked by this process")
    ids = state.ask_now(given.target, given.suite)
    if ids is None:
        raise HTTPException(503, NOT_HERE, headers={"Retry-After": "5"})
    if not ids:
        raise HTTPException(404, "no suite of this name is asked at a target of this name")
    return Asking(rounds=list(ids))


@router.get("/v1/probes/rounds", summary="The newest rounds, oldest first")
def rounds(state: State, target: Target = None, suite: Suite = None, limit: Limit = 100) -> dict[str, Any]:
    """Counts of each category of each round that has ended."""
    kept = _history(state).rounds(target, suite, None, limit)
    return {"rounds": [_round(each.round) | {"state": each.state} for each in kept if each.state != "open"]}


@router.get("/v1/probes/results", summary="The newest answers, oldest first", dependencies=[Writer])
def results(state: State, round: RoundId = None, target: Target = None, suite: Suite = None, limit: Limit = 1000) -> dict[str, Any]:
    """One row for each graded answer. Needs the token although it only reads: where `probes.store_text` is on, it holds texts."""
    return {"results": [as_json(row) for row in _history(state).results(round, target, suite, None, limit)]}


def _history(state: AppState) -> ProbeHistory:
    queries = state.queries()
    if queries is None:
        raise HTTPException(503, "the history is not open in this process", headers={"Retry-After": "5"})
    return queries.probes


def _round(round: Round) -> dict[str, Any]:
    return as_json(round) | {"counts": {category: counts._asdict() for category, counts in round.counts.items()}}
