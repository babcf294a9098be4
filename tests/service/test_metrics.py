"""The exposition as Prometheus reads it: labels initialised, standby silent, documentation complete."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from service import metrics
from service.metrics import (
    BUCKETS,
    DeciderReading,
    IncidentReading,
    ModelReading,
    Reading,
    SeverityReading,
    StreamReading,
    Timing,
    WorkerReading,
)
from service.metrics.probes import VERDICTS, GateReading, ProbeReading, ProbeStreamReading, ProbeSuiteReading

MODELS = (ModelReading("support-bot", "b" * 64, "team-a", "e" * 64), ModelReading("quiet-bot", "c" * 64, "team-b", "e" * 64))
STREAM = StreamReading("support-bot", "ood_share", "page", 0.098, 0.0586, {"ticket": 3.0, "page": 7.2}, {"ticket": 4.0, "page": 5.4})
DECIDER = DeciderReading(
    active=True,
    watermark=1000.0,
    last_verdict={"support-bot": 960.0},
    streams=(STREAM, StreamReading("quiet-bot", "ood_share", "learning", None, 0.06, {"ticket": 0.0}, {"ticket": 4.0, "page": None})),
    severities=(SeverityReading("support-bot", "drift", "team-a", "critical"),),
    incidents={("support-bot", "page"): 1},
)


def registry(**parts: object) -> CollectorRegistry:
    reading = Reading(models=MODELS, reasons=("not_json", "no_text"), inference=(("onnxruntime", "cpu"),), **parts)  # type: ignore[arg-type]
    return metrics.registry(lambda: reading)


def series(found: CollectorRegistry) -> set[str]:
    return {sample.name for family in found.collect() for sample in family.samples if sample.name.startswith("tiltmeter_")}


def test_every_known_label_set_is_there_before_the_first_prompt() -> None:
    found = registry(worker=WorkerReading())
    for model in ("support-bot", "quiet-bot"):
        assert found.get_sample_value("tiltmeter_prompts_total", {"model_name": model}) == 0
    for reason in ("not_json", "no_text"):
        assert found.get_sample_value("tiltmeter_rejected_total", {"reason": reason}) == 0
    assert found.get_sample_value("tiltmeter_batch_seconds_count", {"stage": "score"}) == 0


def test_a_standby_decider_exports_no_verdict() -> None:
    found = registry(decider=DeciderReading(active=False, watermark=1000.0, streams=(STREAM,)))
    assert found.get_sample_value("tiltmeter_decider_active") == 0
    assert series(found) == {"tiltmeter_build_info", "tiltmeter_model_info", "tiltmeter_inference_info", "tiltmeter_decider_active"}


def test_a_pure_worker_says_nothing_about_the_decider() -> None:
    assert "tiltmeter_decider_active" not in series(registry(worker=WorkerReading()))


def test_an_incident_is_told_while_it_is_open_with_its_owner_and_words_and_the_last_deployment_always() -> None:
    incident = IncidentReading("support-bot-ood_share-page-1000", "9.8% strange; mostly in acme", 940.0)
    open_ = replace(DECIDER.severities[0], incident=incident)
    found = registry(decider=replace(DECIDER, severities=(open_,), deployed={"support-bot": ("2026-07-14", 900.0)}))
    place = {"model_name": "support-bot", "kind": "drift"}
    info = {**place, "model_owner": "team-a", "incident": incident.id, "what": incident.what}
    assert found.get_sample_value("tiltmeter_incident_info", info) == 1
    assert found.get_sample_value("tiltmeter_incident_change_timestamp_seconds", place) == 940
    deployed = {"model_name": "support-bot", "revision": "2026-07-14"}
    assert found.get_sample_value("tiltmeter_deployment_timestamp_seconds", deployed) == 900
    assert not {name for name in series(registry(decider=DECIDER)) if "incident_info" in name or "change" in name or "deployment" in name}


def test_each_model_says_whether_a_baseline_is_wanted() -> None:
    found = registry(decider=replace(DECIDER, wanted=["quiet-bot"]))
    wanted = {name: found.get_sample_value("tiltmeter_baseline_wanted", {"model_name": name}) for name in ("support-bot", "quiet-bot")}
    assert wanted == {"support-bot": 0, "quiet-bot": 1}


def test_state_and_severity_are_one_hot() -> None:
    found = registry(decider=DECIDER)
    states = {
        state: found.get_sample_value(
            "tiltmeter_stream_state", {"model_name": "support-bot", "slice": "", "stream": "ood_share", "state": state}
        )
        for state in metrics.STATES
    }
    assert states == {state: float(state == "page") for state in metrics.STATES}
    labels = {"model_name": "support-bot", "kind": "drift", "owner": "team-a"}
    assert [found.get_sample_value("tiltmeter_severity", {**labels, "severity": s}) for s in metrics.SEVERITIES] == [0, 0, 1]


def test_a_slice_is_a_label_and_the_whole_model_has_an_empty_one() -> None:
    slices = [
        StreamReading("support-bot", "ood_share", "ok", 0.2, 0.3, {"page": 1.0}, {"page": 7.0}, slice=name) for name in ("acme", "globex")
    ]
    opened = {("support-bot", "acme", "ood_share", "page"): 2, ("support-bot", "", "ood_share", "page"): 1}
    found = registry(decider=replace(DECIDER, streams=(STREAM, *slices), opened=opened))
    place = {"model_name": "support-bot", "stream": "ood_share"}
    assert [found.get_sample_value("tiltmeter_flagged_share_ratio", {**place, "slice": s}) for s in ("", "acme", "globex")] == [
        0.098,
        0.2,
        0.2,
    ]
    counts = [found.get_sample_value("tiltmeter_incidents_total", {**place, "slice": s, "level": "page"}) for s in ("", "acme", "globex")]
    assert counts == [1, 2, 0]
    # 7 states, 2 levels of incidents, share, reference, and evidence with its threshold at each level
    whole, one = ([s for f in found.collect() for s in f.samples if s.labels.get("slice") == value] for value in ("", "acme"))
    assert (len(whole), len(one)) == (7 + 2 + 2 + 4, 7 + 2 + 2 + 2)


@pytest.mark.parametrize(("promise", "exported"), [(None, None), (True, 1), (False, 0)])
def test_a_promise_is_absent_before_a_baseline_is_accepted(promise: bool | None, exported: float | None) -> None:
    found = registry(decider=replace(DECIDER, streams=(replace(STREAM, promise=promise),)))
    assert found.get_sample_value("tiltmeter_promise_kept", {"model_name": "support-bot", "slice": "", "stream": "ood_share"}) == exported


def test_what_is_not_known_is_absent_and_not_zero() -> None:
    found = registry(decider=DECIDER)
    assert found.get_sample_value("tiltmeter_flagged_share_ratio", {"model_name": "quiet-bot", "slice": "", "stream": "ood_share"}) is None
    threshold = {"model_name": "quiet-bot", "slice": "", "stream": "ood_share", "level": "page"}
    assert found.get_sample_value("tiltmeter_evidence_threshold_log10", threshold) is None


def test_closed_incidents_are_counted_beside_what_the_budget_accepts() -> None:
    found = registry(decider=replace(DECIDER, ended={("support-bot", "page", "benign"): 2}, budgets={"page": 7776000.0}))
    bot = {"model_name": "support-bot", "level": "page"}
    counts = {
        verdict: found.get_sample_value("tiltmeter_closed_incidents_total", {**bot, "verdict": verdict}) for verdict in metrics.CLOSED_AS
    }
    assert counts == {"real": 0, "benign": 2, "monitor": 0, "recovered": 0}
    assert found.get_sample_value("tiltmeter_budget_seconds", {"level": "page"}) == 7776000


@pytest.mark.parametrize("model", ["support-bot", "quiet-bot"])
@pytest.mark.parametrize("level", metrics.LEVELS)
def test_open_incidents_of_every_model_and_level(model: str, level: str) -> None:
    expected = 1 if (model, level) == ("support-bot", "page") else 0
    assert registry(decider=DECIDER).get_sample_value("tiltmeter_incidents_open", {"model_name": model, "level": level}) == expected


def test_histogram_is_cumulative_and_its_edges_belong_to_the_lower_bucket() -> None:
    timing = Timing().add(BUCKETS[0]).add(BUCKETS[0] * 1.01).add(1e6)
    found = registry(worker=WorkerReading(stages={"score": timing}))
    counts = [
        found.get_sample_value("tiltmeter_batch_seconds_bucket", {"stage": "score", "le": le}) for le in ("0.001", "0.0025", "30.0", "+Inf")
    ]
    assert counts == [1, 2, 2, 3]
    assert found.get_sample_value("tiltmeter_batch_seconds_sum", {"stage": "score"}) == pytest.approx(1e6, rel=1e-6)


def test_both_expositions_parse_and_carry_only_documented_names() -> None:
    worker = WorkerReading(
        queued=1, lag=2, replaced_times=5, lost_records=6, lost_dead_letters=7, source_time=3.0, last_flush=4.0, stages={"poll": Timing()}
    )
    found = registry(worker=worker, decider=DECIDER)
    assert found.get_sample_value("tiltmeter_lost_records_total") == 6
    assert list(parse(generate_latest(found).decode()))
    assert list(parse_openmetrics(openmetrics.generate_latest(found).decode()))
    assert series(found) <= metrics.names()


def test_labels_are_those_of_the_definition() -> None:
    found = registry(worker=WorkerReading(), decider=DECIDER)
    labels = {d.name: set(d.labels) for d in metrics.DEFINITIONS}
    for family in found.collect():
        for sample in family.samples:
            if sample.name in labels:
                assert set(sample.labels) == labels[sample.name], sample.name


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    documented = set(re.findall(r"^\| `(tiltmeter_\w+)`", text, re.MULTILINE))
    assert documented == {d.name for d in metrics.DEFINITIONS}
    for definition in metrics.DEFINITIONS:
        row = re.search(rf"^\| `{definition.name}`(.*)$", text, re.MULTILINE)
        assert row is not None
        assert definition.help in row.group(1), definition.name
        assert all(f"`{label}`" in row.group(1) for label in definition.labels), definition.name


def test_probes_and_gates_are_exported_and_what_is_not_known_is_absent() -> None:
    known = ProbeStreamReading(
        "support-bot", "live", "injection/mail", "planted", "probe", "page", 0.35, 0.2, 0.5, base=0.1, attack=True, record=0.05, answers=400
    )
    new = ProbeStreamReading(
        "support-bot", "live", "golden/facts", "capitals", "probe", "learning", thresholds={"ticket": 3.0, "page": None}
    )
    probes = ProbeReading(
        (known, new),
        (ProbeSuiteReading("support-bot", "live", "golden/facts", 7.0),),
        (GateReading("support-bot", "release", "B", "fail"),),
    )
    opened = {("support-bot", "live/injection/mail/planted", "probe", "page"): 1}
    found = registry(decider=replace(DECIDER, probes=probes, opened=opened))
    attack = {"model_name": "support-bot", "target": "live", "suite": "injection/mail", "category": "planted"}
    fact = {**attack, "suite": "golden/facts", "category": "capitals"}
    assert found.get_sample_value("tiltmeter_probe_bad_share_ratio", {**attack, "stream": "probe"}) == 0.35
    assert found.get_sample_value("tiltmeter_probe_attack_success_ratio", attack) == 0.35
    assert found.get_sample_value("tiltmeter_probe_attack_success_ratio", fact) is None
    assert found.get_sample_value("tiltmeter_probe_record_answers", {**attack, "stream": "probe"}) == 400
    assert found.get_sample_value("tiltmeter_probe_bad_share_ratio", {**fact, "stream": "probe"}) is None
    levels = [
        found.get_sample_value("tiltmeter_probe_evidence_threshold_log10", {**fact, "stream": "probe", "level": level})
        for level in metrics.LEVELS
    ]
    assert levels == [3.0, None]
    gate = {"model_name": "support-bot", "gate": "release", "stage": "B"}
    assert [found.get_sample_value("tiltmeter_gate_verdict", {**gate, "verdict": each}) for each in VERDICTS] == [0, 1, 0]
    place = {"model_name": "support-bot", "slice": "live/injection/mail/planted", "stream": "probe", "level": "page"}
    assert found.get_sample_value("tiltmeter_incidents_total", place) == 1
