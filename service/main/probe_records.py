"""From the decider's picture to what the routes tell of deployments and of the records of probes."""

from dataclasses import asdict

from service.api.view import Answers, Deployed, ProbeRecord
from service.decider.probing.view import ProbeView, RecordView
from service.decider.snapshot import DeciderSnapshot


def deployments(snapshot: DeciderSnapshot) -> list[Deployed]:
    """Those announced, oldest first."""
    return [Deployed(**asdict(each)) for each in snapshot.deployments]


def records(snapshot: DeciderSnapshot) -> list[ProbeRecord]:
    """Every stream that has a record, or will have one: not those of pairs, whose record is the other model, and of fingerprints."""
    return [
        _record(view) for view in snapshot.probes if view.stream != "probe_paired" and (view.kind, view.stream) != ("fingerprint", "probe")
    ]


def _record(view: ProbeView) -> ProbeRecord:
    return ProbeRecord(
        model_name=view.model_name,
        target=view.target,
        suite=view.suite,
        category=view.category,
        stream=view.stream,
        state=view.state,
        record=_answers(view.record),
        now=_answers(view.now),
        on_trial=view.trial is not None,
        acceptable=view.acceptable,
        why=view.why,
    )


def _answers(view: RecordView | None) -> Answers | None:
    return Answers(**asdict(view)) if view is not None else None
