"""From the decider's picture of probes and gates to what Prometheus reads."""

from service.decider.probing.view import ProbeView
from service.decider.snapshot import DeciderSnapshot
from service.metrics import GateReading, ProbeReading, ProbeStreamReading, ProbeSuiteReading


def readings(snapshot: DeciderSnapshot) -> ProbeReading:
    """All of them."""
    return ProbeReading(
        streams=[_stream(view) for view in snapshot.probes],
        suites=[ProbeSuiteReading(view.model_name, view.target, view.suite, view.last, view.gap) for view in snapshot.suites],
        agreement={view.target: 1 - view.share for view in snapshot.probes if view.stream == "probe_judge" and view.share is not None},
        gates=[GateReading(gate.model_name, gate.name, gate.stage, gate.verdict) for gate in snapshot.gates],
    )


def _stream(view: ProbeView) -> ProbeStreamReading:
    record = view.record
    return ProbeStreamReading(
        model_name=view.model_name,
        target=view.target,
        suite=view.suite,
        category=view.category,
        stream=view.stream,
        state=view.state,
        share=view.share,
        low=view.low,
        high=view.high,
        base=view.base,
        attack=view.attack,
        record=record.bad / record.n if record else None,
        answers=record.n if record else None,
        trial=view.trial.n if view.trial else None,
        null=view.null,
        evidence=view.evidence,
        thresholds=view.thresholds,
        rounds=view.rounds,
    )
