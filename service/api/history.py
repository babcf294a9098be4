"""Verdicts, windows, incidents, baselines: what happened, and what people say about it. All of it off the event loop (``def`` routes)."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import State, Writer
from service.api.state import AppState, Queries, as_json
from service.api.view import Status
from service.records import Command, Incident

router = APIRouter()

AUDITED = 1000
"""Newest commands among which one is looked for."""

Model = Annotated[str | None, Query(description="Stable name of a model.")]
Slice = Annotated[str | None, Query(description="A slice; empty for the model as a whole. Unset: all.")]
Stream = Annotated[str | None, Query(description="Such as ood_share or topic_mix. Unset: all.")]
Since = Annotated[datetime | None, Query(description="Windows that start at or after this: ISO 8601 or epoch seconds.")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="The newest so many.")]
IncidentId = Annotated[str, Path(max_length=300, description="Id as listed by /v1/incidents.")]


class Request(BaseModel):
    """Base of bodies that write: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")
    actor: str = Field("api", max_length=100, description="Who asks; kept in the audit.")


class Acknowledgement(Request):
    """Somebody is looking at it."""


class Closing(Request):
    """What an incident turned out to be."""

    verdict: Literal["real", "benign", "monitor"] = Field(description="The change matters; it does not; the monitor was wrong.")
    reason: str = Field(min_length=1, max_length=1000, description="For whoever reads this later.")


class BaselineChange(Request):
    """What to do with a model's baseline."""

    action: Literal["accept", "reset", "learn"] = Field(
        description="learn makes a candidate of `history` or `blocks`; accept puts it, or what was learned live, in force."
    )
    model: str = Field(description="Stable name of the model.")
    reason: str | None = Field(None, max_length=1000, description="Needed for accept and reset.")
    shadow: bool = Field(False, description="Of the model's shadow instead of the bundle in force.")
    anyway: bool = Field(False, description="For accept: also when too little is learned. The audit, the log and the page say so.")
    history: str | None = Field(None, max_length=3_000_000, description="For learn: what `tiltmeter baseline learn` makes.")
    blocks: dict[str, list[tuple[int, int, int]]] | None = Field(
        None, description="For learn, instead of history: strange and far, rows of [day, prompts, flagged], for one rate at all hours."
    )
    topics: list[int] | None = Field(None, description="For learn: prompts per reference topic, the last for none of them.")
    source: str | None = Field(None, max_length=200, description="For learn: where the blocks come from.")


class Submitted(BaseModel):
    """A command on its way; the decider applies it in the order of the log."""

    command: str = Field(description="Id; /v1/commands/{id} tells what became of it.")


@router.get("/v1/verdicts", tags=["history"], summary="The newest verdicts, oldest first")
def verdicts(
    state: State,
    model: Model = None,
    slice: Slice = None,
    stream: Stream = None,
    since: Since = None,
    limit: Limit = 1000,
) -> dict[str, Any]:
    """One row for each closed window, slice and stream."""
    rows = _queries(state).verdicts(model, stream, seconds(since), limit, slice)
    return {"verdicts": [as_json(row) for row in rows]}


@router.get("/v1/windows", tags=["history"], summary="Counts of the newest closed windows, oldest first")
def windows(
    state: State,
    model: Model = None,
    slice: Slice = None,
    since: Since = None,
    limit: Limit = 1000,
) -> dict[str, Any]:
    """Prompts, flags, lengths and topics of each closed window, also of bundles that are not judged here."""
    rows = _queries(state).windows(model, slice, seconds(since), limit)
    return {"windows": [as_json(row) for row in rows]}


@router.get("/v1/incidents", tags=["incidents"], summary="Incidents, newest first")
def incidents(
    state: State,
    model: Model = None,
    is_open: Annotated[bool | None, Query(alias="open", description="true: open ones only; false: closed ones and open ones.")] = None,
    slice: Slice = None,
    stream: Stream = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Open incidents come from the decider's own state, closed ones from the history.

    ``deployment`` is the last one of the model that was announced before the incident opened, as far as the decider remembers.
    """

    def wanted(i: Incident) -> bool:
        return model in (None, i.model_name) and slice in (None, i.slice) and stream in (None, i.stream)

    status = state.status()
    rows = {i.id: i for i in filter(wanted, status.incidents)}
    if not is_open:
        queries = state.queries()
        past = queries.incidents(False, model, limit, stream, slice) if queries else status.recent
        rows |= {i.id: i for i in past if i.id not in rows and wanted(i)}
    return {"incidents": [incident_json(status, row) for row in sorted(rows.values(), key=lambda i: -i.opened)[:limit]]}


@router.post("/v1/incidents/{incident}/ack", tags=["incidents"], summary="Acknowledge", status_code=202, dependencies=[Writer])
def acknowledge(state: State, incident: IncidentId, body: Acknowledgement | None = None) -> Submitted:
    """Say that somebody is looking at it. It stays open."""
    _known(state, incident)
    return submit(state, "incident.ack", body.actor if body else "api", {"incident": incident})


@router.post("/v1/incidents/{incident}/close", tags=["incidents"], summary="Close with a verdict", status_code=202, dependencies=[Writer])
def close(state: State, incident: IncidentId, body: Closing) -> Submitted:
    """Close it: real, benign or monitor, and why."""
    _known(state, incident)
    return submit(state, "incident.close", body.actor, {"incident": incident, "verdict": body.verdict, "reason": body.reason})


@router.get("/v1/baseline", tags=["baseline"], summary="What every stream is tested against")
def baselines(state: State) -> dict[str, Any]:
    """Null, learned rate, accepted baseline and candidate of every model and stream; under `shadow` the same of the models' shadows."""
    status = state.status()
    rows, shadow = ([as_json(row) for row in each] for each in (status.baselines, status.shadow_baselines))
    return {"baselines": rows, "shadow": shadow, "window": status.window}


@router.post("/v1/baseline", tags=["baseline"], summary="Accept, reset or learn a baseline", status_code=202, dependencies=[Writer])
def change_baseline(state: State, body: BaselineChange) -> Submitted:
    """Change what is held normal for a model; audited."""
    known_model(state, body.model)
    if body.action == "learn" and body.history:
        arguments: dict[str, Any] = {"model": body.model, "history": body.history, "source": body.source or "history"}
    elif body.action == "learn":
        if not body.blocks or not {"strange", "far"} <= body.blocks.keys():
            raise HTTPException(422, "blocks: expected rows of [day, prompts, flagged] for 'strange' and 'far'")
        arguments = {
            "model": body.model,
            "blocks": body.blocks,
            "topics": body.topics or [],
            "source": body.source or "history",
        }
    elif not body.reason:
        raise HTTPException(422, f"reason: needed for {body.action}")
    elif body.anyway and body.action != "accept":
        raise HTTPException(422, "anyway: only for accept")
    else:
        arguments = {"model": body.model, "reason": body.reason, **({"anyway": True} if body.anyway else {})}
    if body.shadow:
        arguments["shadow"] = True
    return submit(state, f"baseline.{body.action}", body.actor, arguments)


@router.get("/v1/commands/{command}", tags=["history"], summary="What became of a command")
def outcome(state: State, command: Annotated[str, Path(max_length=100)]) -> dict[str, Any]:
    """The audit entry of a command; 404 as long as the decider has not applied it."""
    found = next((entry for entry in _queries(state).audit(AUDITED) if entry.id == command), None)
    if found is None:
        raise HTTPException(404, "not applied yet, or unknown")
    return as_json(found)


def incident_json(status: Status, incident: Incident) -> dict[str, Any]:
    """An incident as plain values, with the last deployment before it."""
    before = status.deployed_before(incident)
    return as_json(incident) | {"deployment": as_json(before) if before else None}


def submit(state: AppState, kind: str, actor: str, arguments: dict[str, Any]) -> Submitted:
    """Write a command to the ledger."""
    command = Command(uuid.uuid4().hex, kind, actor, state.clock(), arguments)
    state.submit(command)
    return Submitted(command=command.id)


def known_model(state: AppState, name: str) -> None:
    """404 for a model that is not configured, where this process knows."""
    known = [model.name for model in state.status().models]
    if known and name not in known:
        raise HTTPException(404, f"model: no model is called {name!r}; known: {', '.join(known)}")


def _known(state: AppState, incident: str) -> None:
    """404 for an incident that is not open, where this process knows."""
    status = state.status()
    if status.monitor.decider == "active" and incident not in {i.id for i in (*status.incidents, *status.joined)}:
        raise HTTPException(404, "no such incident is open")


def _queries(state: AppState) -> Queries:
    queries = state.queries()
    if queries is None and "decider" in state.alive():
        raise HTTPException(503, "the history is not open yet", headers={"Retry-After": "5"})
    if queries is None:
        raise HTTPException(404, "this process keeps no history: ask a decider")
    return queries


def seconds(time: datetime | None) -> float | None:
    """Since the epoch; UTC where no zone is given."""
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
