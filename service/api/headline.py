"""The first line of the status page: must somebody get up?"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from service.api.view import ModelCard, Status
from service.records import Incident

TELLING = ("topic_mix", "ood_share", "far_share", "new_topic", "truncation", "language", "length", "embedding_shift", "combined", "volume")
"""What an incident of one model is told by when several are open: a topic has a name, a shift of the mean has none."""

WHAT = {
    frozenset({"behaviour"}): "answers worse than it did",
    frozenset({"safety"}): "has become less safe",
    frozenset({"behaviour", "safety"}): "answers worse and has become less safe",
    frozenset({"drift", "behaviour"}): "has changed and answers worse than it did",
    frozenset({"drift", "safety"}): "has changed and has become less safe",
    frozenset({"drift", "behaviour", "safety"}): "has changed, answers worse and has become less safe",
}
"""Kinds of the pages that are open -> what is said of the model; of drift alone that it has changed."""


@dataclass(frozen=True, slots=True)
class Headline:
    """What the first line says: tone (none, warning, critical, quiet, blind), one word, one sentence, one explanation."""

    tone: str
    word: str
    sentence: str
    detail: str


def headline(status: Status) -> Headline:
    """The answer in words, by severity first, then blindness, then what is not known yet."""
    worst = status.worst
    lead = lead_incident(status.trouble)
    troubled = [model.name for model in status.models if model.worst == worst]
    subject = troubled[0] if len(troubled) == 1 else f"{len(troubled)} models"
    detail = lead.explanation if lead else ""
    if worst == "critical":
        acting = {i.acknowledged_by for i in status.trouble if i.severity == "critical"}
        what = f"{subject} {_what(status, troubled)}."
        if None not in acting and acting:
            return Headline("critical", "Critical", f"{what} {_list(acting)} is on it.", detail)
        return Headline("critical", "Critical", f"Get up: {what}", detail)
    if status.monitor.blind:
        reasons = "; ".join(status.monitor.blind)
        return Headline(
            "blind", "Blind", "The monitor cannot see production.", f"{reasons}. Silence from here means nothing until this is mended."
        )
    if worst == "warning":
        return Headline("warning", "Warning", f"Nobody needs to get up. Look at {subject} in working hours.", detail)
    if status.monitor.decider == "standby":
        return Headline(
            "quiet", "Standby", "Another process decides.", "This one is ready to take over; below is the last state it has seen."
        )
    unseen = [model for model in status.models if model.probes is not None and model.probes.blind]
    if unseen:
        names = _list({model.name for model in unseen})
        said = f"Nobody needs to get up, but the probes of {names} say nothing."
        return Headline("blind", "Half blind", said, _unseen_detail(unseen))
    return _quiet(status)


def _quiet(status: Status) -> Headline:
    """Nothing is wrong that could be seen: how much that says."""
    states = {stream.state for model in status.models for stream in model.main}
    if not states:
        return Headline("blind", "Starting", "Nothing is known yet.", "The decider has not published its first picture.")
    if states <= {"learning", "idle"} and "learning" in states:
        if any(stream.level for model in status.models if model.probes for stream in model.probes.streams):
            said = "Still learning which prompts are normal. Only probes can raise an alarm yet."
        else:
            said = "Still learning what is normal. No alarm can come yet."
        return Headline("quiet", "Learning", said, _learning_detail(status.models))
    if states <= {"learning", "idle", "insufficient"}:
        return Headline(
            "quiet", "Quiet", "Nobody needs to get up. There is little to judge by.", "Too few prompts arrived lately to tell a change."
        )
    if status.incidents:
        return Headline("none", "Calm", "Nobody needs to get up.", "Open incidents below wake nobody.")
    return Headline("none", "Calm", "Nobody needs to get up.", _calm_detail(status.models))


def lead_incident(incidents: Sequence[Incident]) -> Incident | None:
    """The incident to speak of first: the most severe, pages before tickets, then the oldest; of its model the stream that says most."""
    order = {"critical": 0, "warning": 1, "none": 2}

    def weight(incident: Incident) -> tuple[int, bool]:
        return order.get(incident.severity, 3), incident.level != "page"

    oldest = min(incidents, key=lambda i: (*weight(i), i.opened), default=None)
    if oldest is None:
        return None
    beside = [i for i in incidents if i.model_name == oldest.model_name and weight(i) == weight(oldest)]
    return min(beside, key=lambda i: (TELLING.index(i.stream) if i.stream in TELLING else -1, i.opened))


def _learning_detail(models: Sequence[ModelCard]) -> str:
    return next((model.note for model in models if model.note), "Nothing pages before the learning period is over.")


def _calm_detail(models: Sequence[ModelCard]) -> str:
    """What calm means, and what it does not cover."""
    said = ["Production looks like what the models were fine-tuned for, as far as can be told."]
    learning = {model.name for model in models if any(stream.state == "learning" for stream in model.main)}
    if learning:
        said.append(f"What is normal for {_list(learning)} is still learned: no alarm can come from there yet.")
    waiting = {model.name for model in models if any(s.state == "learning" for s in model.streams)} - learning
    if waiting:
        said.append(f"Topics and the embedding of {_list(waiting)} are not watched before a baseline is accepted.")
    probing = [model for model in models if model.probes is not None and model.probes.suites]
    if probing:
        said.append(_probed(probing))
    tested = [stream for model in models for stream in (*model.streams, *(model.probes.streams if model.probes else ()))]
    if not any(stream.thresholds.get("page") is not None for stream in tested):
        said.append("Only tickets may open, no page.")
    return " ".join(said)


def _probed(models: Sequence[ModelCard]) -> str:
    """How many suites answer as their record says; the others are not known to."""
    suites = [suite for model in models if model.probes for suite in model.probes.suites]
    well = sum(suite.state == "ok" for suite in suites)
    if well == len(suites):
        return f"Probes are answered as their records say, all {well} suites."
    return f"Probes of {well} of {len(suites)} suites are answered as their records say; nothing can be said yet of the others."


def _unseen_detail(models: Sequence[ModelCard]) -> str:
    reasons: dict[str, list[str]] = {}
    for suite in (suite for model in models if model.probes for suite in model.probes.blind):
        reasons.setdefault(suite.blind, []).append(suite.suite)
    told = "; ".join(f"{names[0]}{f' and {len(names) - 1} more suites' if len(names) > 1 else ''}: {why}" for why, names in reasons.items())
    return f"{told}. Prompts are still watched; whether the model still behaves is not known."


def _what(status: Status, troubled: Sequence[str]) -> str:
    """What has become of the models in trouble, by what their most severe incidents are about."""
    if len(troubled) != 1:
        return "have changed"
    parts = [part for each in status.incidents for part in status.parts(each) if each.model_name == troubled[0]]
    kinds = {part.kind for part in parts if part.level == "page"}
    return WHAT.get(frozenset(kinds), "has changed")


def _list(names: Set[str | None]) -> str:
    return " and ".join(sorted(name for name in names if name))
