"""Canary probes: what is asked and when, the newest answers, and asking now."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from service.api.access import State, Writer
from service.api.history import Request, Submitted, known_model, submit
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


class Acceptance(Request):
    """Which records are to be what answers now."""

    model: str = Field(description="Stable name of the model.")
    target: str | None = Field(None, max_length=200, description="Only at this live target.")
    suite: str | None = Field(None, max_length=200, description="Only this suite: PACK/SUITE.")
    category: str | None = Field(None, max_length=200, description="Only this category of it.")
    reason: str = Field(min_length=1, max_length=1000, description="For whoever reads this later.")


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


@router.get("/v1/probes/records", summary="What probes are held against, and what answers now")
def records(
    state: State,
    model: Annotated[str | None, Query(description="Stable name of a model.")] = None,
    target: Target = None,
    suite: Suite = None,
) -> dict[str, Any]:
    """One row for each stream: the record in force, and the answers of the model that answers now, which an acceptance would take."""
    wanted = (("model_name", model), ("target", target), ("suite", suite))
    rows = [row for row in state.status().probe_records if all(value in (None, getattr(row, name)) for name, value in wanted)]
    return {"records": [as_json(row) for row in rows]}


@router.post("/v1/probes/accept", summary="Accept what answers now as the record", dependencies=[Writer], status_code=202)
def accept(state: State, given: Acceptance) -> Submitted:
    """Where another model is on trial, an incident is open or there is no record yet: what answers now becomes the record, as it is.

    Incidents of these streams are closed, evidence begins from nothing; fingerprints take a new reference. Audited.
    """
    known_model(state, given.model)
    named = {"target": given.target, "suite": given.suite, "category": given.category}
    arguments = {"model": given.model, **{name: value for name, value in named.items() if value is not None}, "reason": given.reason}
    return submit(state, "probe.accept", given.actor, arguments)


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
