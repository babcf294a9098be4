"""Gates of a release pipeline: pass, fail or inconclusive, for tools that read JSON and for people."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, Field

from service.api.access import State
from service.api.history import seconds
from service.api.ingest import AdviceAnswer
from service.api.state import AppState

router = APIRouter(tags=["gates"])

_NOT_HERE: dict[int | str, dict[str, Any]] = {503: {"description": "Not the active decider; Retry-After says when to ask again."}}


class GateAnswer(BaseModel):
    """What a gate says now. Times in seconds since the epoch."""

    name: str
    model_name: str
    stage: Literal["A", "B", "C"]
    verdict: Literal["pass", "fail", "inconclusive"]
    reasons: list[str] = Field(description="What stands against a pass; of a pass what was shown.")
    since: float | None = Field(description="When the model that answers now began to; null before the first round.")
    last: float | None = Field(description="End of the newest round; null before the first.")
    streams: dict[str, str] = Field(description="TARGET/PACK/SUITE -> pass, fail or inconclusive.")
    began: dict[str, float | None] = Field(description="TARGET/PACK/SUITE -> when the model that answers it now began to.")
    judged: float = Field(description="When the decider said so.")
    advice: AdviceAnswer = Field(description="What a gateway in front of this model is advised.")


class Gates(BaseModel):
    """Every gate of the configuration."""

    gates: list[GateAnswer]


@router.get("/v1/gates", summary="Every gate: pass, fail or inconclusive", responses=_NOT_HERE)
def gates(state: State) -> Gates:
    """What the gates of the configuration say, in its order."""
    return Gates.model_validate({"gates": _rows(state)})


@router.get(
    "/v1/gates/{name}",
    summary="One gate: pass, fail or inconclusive",
    responses={404: {"description": "No gate of this name; the known ones are named."}, **_NOT_HERE},
)
def gate(
    state: State,
    name: Annotated[str, Path(max_length=200, description="A key of `gates` in the configuration.")],
    since: Annotated[
        datetime | None, Query(description="Start of the release, ISO 8601 or epoch seconds: what answers longer than that is not it.")
    ] = None,
) -> GateAnswer:
    """200 for all three verdicts. With `since`, inconclusive until a model that began later answers every suite."""
    rows = _rows(state)
    for row in rows:
        if row["name"] == name:
            return GateAnswer.model_validate(row | _too_early(row, seconds(since)))
    known = ", ".join(row["name"] for row in rows)
    raise HTTPException(404, f"no gate is called {name!r}; " + (f"known: {known}" if known else "the configuration has no gates"))


def _too_early(row: Mapping[str, Any], release: float | None) -> dict[str, Any]:
    """What changes while some suite was not asked of the release that is asked about."""
    if release is None:
        return {}
    late = {suite: at for suite, at in row["began"].items() if at is None or at < release}
    if not late and row["began"]:
        return {}
    asked = f"of a model that began since {_moment(release)}"
    before = {suite: "" if at is None else f", what answers began at {_moment(at)}" for suite, at in late.items()}
    told = [f"{suite}: no round {asked}{rest}" for suite, rest in before.items()]
    return {"verdict": "inconclusive", "reasons": told or [f"no suite is asked {asked}"]}


def _moment(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _rows(state: AppState) -> Sequence[Any]:
    found = state.gates()
    if isinstance(found, str):
        raise HTTPException(503, f"gates are judged by the active decider: {found}", headers={"Retry-After": "5"})
    return found
