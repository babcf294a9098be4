"""What page, routes and metrics show of shadows, and of which bundle is in force."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from service.api.view import InForce
from service.api.words import days
from service.decider.snapshot import DeciderSnapshot, ModelView, StreamView
from service.metrics import LEVELS, ModelReading, ShadowReading
from service.records import WHOLE

STREAM = "ood_share"


def in_force(decider: DeciderSnapshot) -> list[InForce]:
    """A row for each model."""
    shares, seconds = _shares(decider.streams), _shares(decider.shadow_streams)
    rows = {
        model.model_name: InForce(model.model_name, model.bundle, decider.former.get(model.model_name), shares.get(model.model_name))
        for model in decider.models
    }
    for shadow in decider.shadows:
        name, learned, accepted = shadow.model_name, shadow.baseline, shadow.baseline.accepted
        rows[name] = replace(
            rows[name],
            shadow=shadow.bundle,
            shadow_share=seconds.get(name),
            stage=stage(shadow),
            days=learned.days,
            prompts=learned.prompts,
            accepted_by=accepted.actor if accepted else None,
            would_open=_opened(decider, name),
        )
    return list(rows.values())


def readings(decider: DeciderSnapshot) -> list[ShadowReading]:
    """What /metrics shows of each shadow."""
    shares = _shares(decider.shadow_streams)
    return [
        ShadowReading(
            model.model_name,
            model.bundle,
            stage(model),
            shares.get(model.model_name),
            _kept(model),
            _opened(decider, model.model_name),
        )
        for model in decider.shadows
    ]


def _kept(model: ModelView) -> dict[str, bool]:
    """Stream of the whole model -> whether the replay of the accepted baseline was consistent with the promise."""
    accepted = model.baseline.accepted
    return {stream: kept.kept for (slice_, stream), kept in accepted.promises.items() if not slice_} if accepted else {}


def identities(models: Sequence[ModelReading], shadows: Sequence[ModelReading], decider: DeciderSnapshot | None) -> Sequence[ModelReading]:
    """Every model with the bundle that judges it, as far as this process knows."""
    judging = {(model.model_name, model.bundle) for model in decider.models} if decider else set()
    promoted = {shadow.name: shadow for shadow in shadows if (shadow.name, shadow.bundle) in judging}
    return [promoted.get(model.name, model) for model in models]


def notes(model: ModelView, decider: DeciderSnapshot) -> Iterator[str]:
    """One sentence about the shadow of a model."""
    for shadow in decider.shadows:
        if shadow.model_name == model.model_name:
            opened = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in _opened(decider, model.model_name).items()]
            yield (
                f"Shadow bundle {shadow.bundle[:12]} wakes nobody: {stage(shadow).replace('_', ' ')}, "
                f"{days(shadow.baseline.days)} learned; it would have opened {' and '.join(opened)}"
            )


def stage(shadow: ModelView) -> str:
    """One of :data:`service.metrics.SHADOW_STAGES`."""
    accepted = shadow.baseline.accepted
    return accepted.rates[WHOLE, STREAM].stage if accepted else shadow.baseline.phase


def _opened(decider: DeciderSnapshot, name: str) -> Mapping[str, int]:
    opened = Counter({level: 0 for level in LEVELS})
    for (model, _, _, level), count in decider.shadow_opened.items():
        opened[level] += count if model == name else 0
    return dict(opened)


def _shares(streams: Sequence[StreamView]) -> dict[str, float]:
    """Model -> share of strange prompts in its newest window that had prompts."""
    mine = [each for each in streams if each.slice == WHOLE and each.stream == STREAM and each.series.n.size]
    return {each.model_name: float(each.series.x[-1] / each.series.n[-1]) for each in mine}
