"""The first line of the status page: must somebody get up?"""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from service.api.view import ModelCard, Status
from service.records import Incident

TELLING = ("topic_mix", "ood_share", "far_share", "new_topic", "truncation", "language", "length", "embedding_shift", "combined", "volume")
"""What an incident of one model is told by when several are open: a topic has a name, a shift of the mean has none."""


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
    lead = lead_incident(status.incidents)
    troubled = [model.name for model in status.models if model.worst == worst]
    subject = troubled[0] if len(troubled) == 1 else f"{len(troubled)} models"
    verb = "has" if len(troubled) == 1 else "have"
    detail = lead.explanation if lead else ""
    if worst == "critical":
        acting = {i.acknowledged_by for i in status.incidents if i.severity == "critical"}
        if None not in acting and acting:
            return Headline("critical", "Critical", f"{subject} {verb} changed. {_list(acting)} is on it.", detail)
        return Headline("critical", "Critical", f"Get up: {subject} {verb} changed.", detail)
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
    states = {stream.state for model in status.models for stream in model.main}
    if not states:
        return Headline("blind", "Starting", "Nothing is known yet.", "The decider has not published its first picture.")
    if states <= {"learning", "idle"} and "learning" in states:
        return Headline("quiet", "Learning", "Still learning what is normal. No alarm can come yet.", _learning_detail(status.models))
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
    if not any(stream.thresholds.get("page") is not None for model in models for stream in model.streams):
        said.append("Only tickets may open, no page.")
    return " ".join(said)


def _list(names: Set[str | None]) -> str:
    return " and ".join(sorted(name for name in names if name))
