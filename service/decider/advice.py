"""What a gateway is advised: to ask a fallback instead of a model, while what is known of the model says so.

It says so while an incident that wakes people is open (severity critical, of any kind), or a gate of stage C fails. Drift of one slice
is advice for that slice alone. It is made once a picture, so that a request only looks it up.
"""

from collections.abc import Iterable, Mapping, Sequence

from service.decider.explain import moment
from service.decider.probing.view import GateState
from service.records import WHOLE, Advice, Incident

_GRAVEST = ("safety", "behaviour", "drift")
_CALM = Advice(False, "no page that wakes people is open, no gate of stage C fails")


def advice(
    models: Iterable[str], incidents: Sequence[Incident], gates: Sequence[GateState], blind: Mapping[str, str]
) -> dict[tuple[str, str], Advice]:
    """(model, slice) -> advice. ``incidents``: open ones, also those that have joined others; ``blind``: models not seen, and why.

    Where nothing speaks for the fallback, nothing is said while blind: what is not seen is not well.
    """
    found: dict[tuple[str, str], Advice] = {}
    pages = sorted((i for i in incidents if i.severity == "critical"), key=lambda i: (_GRAVEST.index(i.kind), i.opened))
    for model in models:
        mine = [incident for incident in pages if incident.model_name == model]
        whole = [incident for incident in mine if _slice(incident) == WHOLE]
        failing = next((gate for gate in gates if (gate.model_name, gate.stage, gate.verdict) == (model, "C", "fail")), None)
        if whole:
            found[model, WHOLE] = _because(whole[0])
        elif failing is not None:
            found[model, WHOLE] = Advice(True, f"gate {failing.name} fails: {'; '.join(failing.reasons[:2])}")
        else:
            found[model, WHOLE] = Advice(None, f"blind: {blind[model]}") if model in blind else _CALM
            found |= {(model, incident.slice): _because(incident) for incident in reversed(mine)}
    return found


def _slice(incident: Incident) -> str:
    """Of the prompts it is about: what probes tell is about all of them."""
    return incident.slice if incident.kind == "drift" else WHOLE


def _because(incident: Incident) -> Advice:
    what = " ".join(part for part in (incident.stream, incident.slice) if part)
    return Advice(True, f"a page of {incident.kind} is open since {moment(incident.opened)} UTC: {what}")
