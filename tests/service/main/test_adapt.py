"""From the decider's snapshot to the page and the metrics."""

from dataclasses import replace

from decider_log import START, Log, history, settings, sketch, watched
from probe_log import Rounds, stream

from service import metrics
from service.api.page import status_page
from service.decider.baselines import Kept
from service.decider.decider import Decider
from service.decider.snapshot import DeciderSnapshot
from service.main import adapt


def process(role: str = "decider") -> adapt.Process:
    return adapt.Process(role, "one", 0.0, "active")


def test_a_baseline_accepted_anyway_is_named_on_the_page_and_in_the_api() -> None:
    decider, log = Decider(watched(), settings()), Log()
    decider.absorb(log.window(START, 12).command("baseline.accept", model="bot", reason="a trial", anyway=True).drain())
    shown = adapt.status(settings(), process(), decider.picture(active=True, now=START), None, START)
    assert shown.models[0].note.startswith("The baseline was accepted anyway by ada, although 1 of 24 hours are learned; up to ")
    assert shown.baselines[0].note.startswith("accepted anyway, although 1 of 24 hours")


def test_deployments_and_records_of_probes_are_told() -> None:
    pair, prints = stream(paired=True), stream("fingerprint/tiny", "identity", "fingerprint")
    rounds = Rounds(pair, prints).run(25, 0.05, base=0.05).run(2, 0.1, base=0.05, key="key-2", of=pair)
    rounds.log.command("deployment.add", time=rounds.now, model="bot", revision="r2", reason="weekly")
    shown = adapt.status(rounds.config, process(), rounds.absorb().picture(), None, rounds.now)
    assert [(each.model_name, each.revision, each.actor, each.reason) for each in shown.deployments] == [("bot", "r2", "ada", "weekly")]
    rows = {(row.suite, row.stream): row for row in shown.probe_records}
    names = ("probe_errors", "probe_unscored")
    assert rows.keys() == {(pair.suite, "probe"), *((suite, name) for suite in (pair.suite, prints.suite) for name in names)}
    trial = rows[pair.suite, "probe"]
    assert trial.record is not None
    assert trial.now is not None
    assert (trial.record.key, trial.now.key, trial.now.n, trial.on_trial, trial.acceptable) == ("key-1", "key-2", 40, True, True)
    steady = rows[pair.suite, "probe_errors"]
    assert (steady.on_trial, steady.acceptable) == (False, False)


def test_repeats_that_the_decider_leaves_out_are_exported() -> None:
    decider, log = Decider(watched(), settings()), Log()
    log.delta(START, key="post").delta(START, slice="x", key="post").report(START)
    for _ in range(2):
        log.delta(START, key="post").delta(START, slice="x", key="post").report(START)
    decider.absorb(log.report(START + 90).drain())
    decider.close_due(None)
    exported = metrics.registry(lambda: adapt.reading(process(), decider.picture(active=True, now=START), None))
    assert exported.get_sample_value("tiltmeter_dropped_repeats_total") == 2
    standby = metrics.registry(
        lambda: adapt.reading(adapt.Process("all", "two", 0.0, "standby"), decider.picture(active=False, now=0), None)
    )
    assert standby.get_sample_value("tiltmeter_dropped_repeats_total") is None


def test_probes_and_their_gate_are_exported_and_their_incident_is_on_the_page() -> None:
    rounds = Rounds(stream(), gates={"release": {"model": "bot", "stage": "A"}}).run(20, 0.05)
    rounds.until("page", rate=0.5)
    shown = rounds.picture()
    found = metrics.registry(lambda: adapt.reading(process(), shown, None))
    place = {"model_name": "bot", "target": "live", "suite": "golden/facts", "category": "capitals", "stream": "probe"}
    assert found.get_sample_value("tiltmeter_probe_state", {**place, "state": "page"}) == 1
    assert found.get_sample_value("tiltmeter_probe_record_answers", place) == 400
    assert (
        found.get_sample_value("tiltmeter_probe_evidence_threshold_log10", {**place, "level": "page"}) == shown.probes[0].thresholds["page"]
    )
    gate = {"model_name": "bot", "gate": "release", "stage": "A", "verdict": shown.gates[0].verdict}
    assert found.get_sample_value("tiltmeter_gate_verdict", gate) == 1
    severity = {"model_name": "bot", "kind": "behaviour", "owner": "team", "severity": "critical"}
    assert found.get_sample_value("tiltmeter_severity", severity) == 1
    page = status_page(adapt.status(rounds.config, process(), shown, None, rounds.now))
    assert "bot / live/golden/facts/capitals" in page
    assert shown.incidents[-1].explanation.split(",")[0] in page


def sliced() -> Decider:
    """One slice, and a baseline accepted from a history of counts."""
    models = {name: replace(model, slices=("acme",)) for name, model in watched().items()}
    return Decider(models, settings(models={"bot": {"bundle": "bundle", "slices": {"values": ["acme"]}}}))


def with_verdict(shown: DeciderSnapshot, kept: bool) -> DeciderSnapshot:
    """As if the replay of the accepted baseline had come to this."""
    [model] = shown.models
    assert model.baseline.accepted is not None
    accepted = replace(model.baseline.accepted, promises={(place, "ood_share"): Kept(kept, "as it was replayed") for place in ("", "acme")})
    return replace(shown, models=(replace(model, baseline=replace(model.baseline, accepted=accepted)),))


def test_streams_of_the_model_and_its_slices_are_shown_and_exported() -> None:
    decider, log = sliced(), Log()
    log.delta(START, sketch(100, 7)).delta(START, sketch(40, 4), slice="acme").delta(START, sketch(9), slice="other").report(START + 90)
    decider.absorb(log.drain())
    decider.close_due(None)
    shown = decider.picture(active=True, now=START)
    [card] = adapt.status(settings(), process(), shown, None, START).models
    assert [s.stream for s in card.streams if s.slice] == ["ood_share", "far_share"], "other is counted, never tested"
    assert {s.stream: s.state for s in card.streams if not s.slice}["topic_mix"] == "learning"
    exported = metrics.registry(lambda: adapt.reading(process(), shown, None))
    for slice_, share in (("", 0.07), ("acme", 0.1)):
        labels = {"model_name": "bot", "slice": slice_, "stream": "ood_share"}
        assert exported.get_sample_value("tiltmeter_flagged_share_ratio", labels) == share
        assert exported.get_sample_value("tiltmeter_promise_kept", labels) is None
    waiting = {"model_name": "bot", "slice": "", "stream": "topic_mix"}
    assert exported.get_sample_value("tiltmeter_flagged_share_ratio", waiting) is None
    assert exported.get_sample_value("tiltmeter_reference_share_ratio", waiting) is None
    assert exported.get_sample_value("tiltmeter_stream_state", {**waiting, "state": "learning"}) == 1


def test_the_promise_of_an_accepted_baseline_is_exported_for_the_model_and_its_slices() -> None:
    decider, log = sliced(), Log()
    decider.absorb(log.window(START).command("baseline.learn", **history(30)).command("baseline.accept", model="bot", reason="r").drain())
    decider.close_due(None)
    for kept in (True, False):
        shown = with_verdict(decider.picture(active=True, now=START), kept)
        exported = metrics.registry(lambda shown=shown: adapt.reading(process(), shown, None))
        for slice_ in ("", "acme"):
            labels = {"model_name": "bot", "slice": slice_, "stream": "ood_share"}
            assert exported.get_sample_value("tiltmeter_promise_kept", labels) == kept
            assert exported.get_sample_value("tiltmeter_promise_kept", {**labels, "stream": "far_share"}) is None
        rows = {(row.slice, row.stream): row.promise for row in adapt.status(settings(), process(), shown, None, START).baselines}
        assert (rows["", "ood_share"], rows["acme", "ood_share"], rows["", "topic_mix"]) == (kept, kept, None)


def test_the_budgets_of_the_configuration_are_exported() -> None:
    known = adapt.identified(process(), settings(), {"bot": ("B", "e")}, None)
    shown = Decider(watched(), settings()).picture(active=True, now=START)
    exported = metrics.registry(lambda: adapt.reading(known, shown, None))
    budgets = settings().budgets
    for level, seconds in (("page", budgets.page), ("ticket", budgets.ticket)):
        assert exported.get_sample_value("tiltmeter_budget_seconds", {"level": level}) == seconds
        assert (
            exported.get_sample_value("tiltmeter_closed_incidents_total", {"model_name": "bot", "level": level, "verdict": "benign"}) == 0
        )


def promotable() -> tuple[Decider, Log]:
    """A shadow with an accepted baseline, and ten windows in which it finds much strange."""
    shadow = replace(watched()["bot"], bundle="N")
    decider, log = Decider(watched(), settings(), shadows={"bot": shadow}), Log()
    for more in ({}, {"shadow": True}):
        log.command("baseline.learn", **history(28), **more).command("baseline.accept", model="bot", reason="r", **more)
    for i in range(10):
        log.delta(START + 60 * i, sketch(100, 3)).delta(START + 60 * i, sketch(100, 60), bundle="N").report(START + 60 * i + 90)
    decider.absorb(log.drain())
    decider.close_due(None)
    return decider, log


def test_a_shadow_is_on_the_page_in_the_rows_and_in_the_metrics_under_names_of_its_own() -> None:
    decider, log = promotable()
    shown = decider.picture(active=True, now=START)
    status = adapt.status(settings(), process(), shown, None, START)
    said = "Shadow bundle N wakes nobody: full, 1 day learned; it would have opened 2 tickets and 2 pages"
    assert status.models[0].note == said, "ood_share and combined"
    [row] = status.bundles
    assert (row.in_force, row.share, row.shadow, row.shadow_share, row.stage, row.accepted_by) == ("B", 0.03, "N", 0.6, "full", "ada")
    assert {row.stream for row in status.shadow_baselines} == {row.stream for row in status.baselines}
    models = [metrics.ModelReading("bot", "B", "team", "e"), metrics.ModelReading("bot", "N", "team", "e2")]
    known = replace(process(), models=models[:1], shadows=models[1:])

    def exported() -> list[float | None]:
        registry = metrics.registry(lambda: adapt.reading(known, decider.picture(active=True, now=START), None))
        bot = {"model_name": "bot"}
        return [
            registry.get_sample_value("tiltmeter_model_info", {**bot, "bundle": "B", "owner": "team", "encoder": "e"}),
            registry.get_sample_value("tiltmeter_model_info", {**bot, "bundle": "N", "owner": "team", "encoder": "e2"}),
            registry.get_sample_value("tiltmeter_shadow_info", {**bot, "bundle": "N"}),
            registry.get_sample_value("tiltmeter_shadow_stage", {**bot, "stage": "full"}),
            registry.get_sample_value("tiltmeter_shadow_strange_share_ratio", bot),
            registry.get_sample_value("tiltmeter_shadow_incidents_total", {**bot, "level": "page"}),
            registry.get_sample_value("tiltmeter_incidents_open", {**bot, "level": "page"}),
        ]

    assert exported() == [1, None, 1, 1, 0.6, 2, 0]
    decider.absorb(log.command("bundle.promote", model="bot", reason="r").drain())
    decider.close_due(None)
    assert exported() == [None, 1, None, 1, 0.03, 0, 0]
    assert adapt.status(settings(), known, decider.picture(active=True, now=START), None, START).bundles[0].former == "B"
