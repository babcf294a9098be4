"""From the decider's snapshot to the page and the metrics."""

from decider_log import START, Log, settings, watched

from service import metrics
from service.decider.decider import Decider
from service.main import adapt


def process(role: str = "decider") -> adapt.Process:
    return adapt.Process(role, "one", 0.0, "active")


def test_a_baseline_accepted_anyway_is_named_on_the_page_and_in_the_api() -> None:
    decider, log = Decider(watched(), settings()), Log()
    decider.absorb(log.window(START, 12).command("baseline.accept", model="bot", reason="a trial", anyway=True).drain())
    shown = adapt.status(settings(), process(), decider.picture(active=True, now=START), None, START)
    assert shown.models[0].note.startswith("The baseline was accepted anyway by ada, although 1 of 24 hours are learned; up to ")
    assert shown.baselines[0].note.startswith("accepted anyway, although 1 of 24 hours")


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
