"""From what the runner and its endpoints have counted to what Prometheus reads."""

from collections.abc import Iterator, Mapping

from service.canary.counting import Totals
from service.canary.runner import Runner
from service.canary.schedule import Schedule
from service.config import Target
from service.main.canaries import CALIBRATION_EVERY, Canaries
from service.main.clients import Opened
from service.metrics import AskedReading, EndpointReading
from service.metrics.asking import Suite


def reading(
    canaries: Canaries, runner: Runner | None, opened: Opened | None, last: Mapping[Suite, float | None] | None, since: float, now: float
) -> AskedReading:
    """One scrape.

    Args:
        canaries: what is asked; runner, opened: who asks, None before the start.
        last: suite -> end of the newest round that the decider was told of; None where another process is the active decider.
        since: when this process began; of a suite that was never asked, rounds before are not missed. Seconds since the epoch, as ``now``.
    """
    totals = runner.totals if runner is not None else Totals()
    schedules = dict(_schedules(canaries, runner))
    return AskedReading(
        suites=list(schedules),
        results=dict(totals.outcomes),
        failures=dict(totals.failures),
        rounds=dict(totals.rounds),
        skipped=dict(totals.skipped),
        missed={suite: schedule.missed(last.get(suite) or since, now) for suite, schedule in schedules.items()} if last is not None else {},
        endpoints=[_endpoint(opened, name, active=last is not None) for name in opened.clients] if opened is not None else [],
        unparsed={name: totals.unparsed[name] for name in canaries.judges},
    )


def _schedules(canaries: Canaries, runner: Runner | None) -> Iterator[tuple[Suite, Schedule]]:
    """Every suite and judge that is asked, with its schedule; what an endpoint turned out not to be able to do is left out."""
    zone = canaries.config.windows.time_zone
    unable = {probe.name for probe in runner.probes if probe.why_not() is not None} if runner is not None else set()
    for watch in canaries.watches:
        if watch.blocked is None and watch.name not in unable:
            yield (watch.model, watch.target, watch.suite_name), watch.schedule(zone)
    for name, models in canaries.judges.items():
        for model in models:
            yield (model, name, f"judge/{name}"), Schedule(f"judge/{name}", CALIBRATION_EVERY, zone=zone)


def _endpoint(opened: Opened, name: str, *, active: bool) -> EndpointReading:
    client, traffic = opened.clients[name], opened.traffic[name]
    settings, price = client.settings, client.settings.price
    return EndpointReading(
        model_name=settings.monitors if isinstance(settings, Target) else "",
        target=client.name,
        role=settings.role if isinstance(settings, Target) else "judge",
        requests=traffic.requests,
        retries=traffic.retries,
        suspect_cached=traffic.suspect_cached,
        tokens={"input": traffic.tokens_in, "output": traffic.tokens_out},
        money={"input": traffic.tokens_in * price.input / 1e6, "output": traffic.tokens_out * price.output / 1e6},
        errors=dict(traffic.errors),
        answers=traffic.answers,
        first_tokens=traffic.first_tokens,
        # A limit of nothing is how an endpoint is switched off: nothing is nearly spent then.
        left={name: left for name, left in client.budget.parts().items() if active and getattr(settings.daily, name)},
    )
