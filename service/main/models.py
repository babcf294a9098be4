"""From a configuration to checked bundles, opened graphs and what the decider must know of each model."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.api.state import UNADVISED, Answer, UnscorableError
from service.config import Compute, Config, Model
from service.decider.decider import Watched
from service.errors import ConfigError
from service.records import Advice, Prompt, Scores
from service.source.decode import Decoder, Rejection

if TYPE_CHECKING:
    from service.bundle import Bundle, Manifest
    from service.encoder import Encoder, Scorer
    from service.pipeline.bundle_scoring import BundleScoring


@dataclass(frozen=True, slots=True)
class Models:
    """Checked bundles by model name, and second ones; models that name the same directory share one bundle."""

    bundles: Mapping[str, "Bundle"]
    shadows: Mapping[str, "Bundle"] = field(default_factory=dict)

    @classmethod
    def load(cls, config: Config, shadows: bool = False) -> "Models":
        """Check every bundle, with ``shadows`` the second ones too. Raises ConfigError naming the file that does not match."""
        from service.bundle import Bundle

        seconds = {name: model.shadow for name, model in config.models.items() if shadows and model.shadow}
        loaded: dict[Path, Bundle] = {}
        for directory in (*(model.bundle for model in config.models.values()), *seconds.values()):
            path = directory.resolve()
            if path not in loaded:
                loaded[path] = Bundle.load(directory)
        models = cls(
            {name: loaded[model.bundle.resolve()] for name, model in config.models.items()},
            {name: loaded[directory.resolve()] for name, directory in seconds.items()},
        )
        for name, shadow in models.shadows.items():
            if shadow.digest == models.bundles[name].digest:
                raise ConfigError(f"models.{name}.shadow: {shadow.path} is the same bundle as models.{name}.bundle; expected another one")
        return models

    def digests(self) -> dict[str, tuple[str, str]]:
        """Model -> (digest of its bundle, digest of its encoder)."""
        return {name: (bundle.digest, bundle.encoder_digest) for name, bundle in self.bundles.items()}

    def shadow_digests(self) -> dict[str, tuple[str, str]]:
        """The same of the second bundles."""
        return {name: (bundle.digest, bundle.encoder_digest) for name, bundle in self.shadows.items()}

    def manifests(self) -> dict[str, "Manifest"]:
        """Digest of a bundle -> its manifest."""
        return {bundle.digest: bundle.manifest for bundle in (*self.bundles.values(), *self.shadows.values())}

    def watched(self, config: Config) -> dict[str, Watched]:
        """What the decider must know."""
        return {name: _watched(bundle, config.models[name]) for name, bundle in self.bundles.items()}

    def shadowed(self, config: Config) -> dict[str, Watched]:
        """What the decider must know of the second bundles."""
        return {name: _watched(bundle, config.models[name]) for name, bundle in self.shadows.items()}

    def of(self, name: str, digest: str | None) -> "Bundle":
        """The bundle of a model with this digest, else the one that the configuration names."""
        shadow = self.shadows.get(name)
        return shadow if shadow is not None and shadow.digest == digest else self.bundles[name]


def _watched(bundle: "Bundle", model: Model) -> Watched:
    return Watched(
        bundle.digest,
        bundle.nulls,
        bundle.topics,
        model.owner,
        model.weight,
        tuple(model.slices.values),
        model.slices.weight,
        bundle.vocabulary,
        bundle.landmarks(),
    )


class Graphs:
    """Opened encoders (one per encoder digest) and scorers (one per bundle).

    Attributes:
        device: ``cpu`` or ``cuda``, where the graphs run.
    """

    def __init__(self, models: Models, compute: Compute) -> None:
        """Open all sessions; about 0.3 s each on CPU. Raises ConfigError when the device asked for cannot be used."""
        from service.encoder import Encoder, Scorer

        self._models = models
        self._encoders: dict[str, Encoder] = {}
        self._scorers: dict[str, Scorer] = {}
        for bundle in (*models.bundles.values(), *models.shadows.values()):
            if bundle.encoder_digest not in self._encoders:
                self._encoders[bundle.encoder_digest] = Encoder.open(bundle, compute)
            if bundle.digest not in self._scorers:
                self._scorers[bundle.digest] = Scorer.open(bundle, compute)
        self.device: str = next(iter(self._encoders.values())).device

    def of(self, bundle: "Bundle") -> tuple["Encoder", "Scorer"]:
        """Encoder and scorer of one bundle."""
        return self._encoders[bundle.encoder_digest], self._scorers[bundle.digest]

    def scoring(self) -> "BundleScoring":
        """For the pipeline."""
        from service.pipeline.bundle_scoring import BundleScoring, LoadedModel

        shadows = {
            name: LoadedModel(each.digest, len(each.topics), *self.of(each), each.vocabulary) for name, each in self._models.shadows.items()
        }
        return BundleScoring(
            {
                name: LoadedModel(bundle.digest, len(bundle.topics), *self.of(bundle), bundle.vocabulary, shadows.get(name))
                for name, bundle in self._models.bundles.items()
            }
        )


class OneByOne:
    """Scores single prompts beside the pipeline. The graphs may run in two threads; the decoder may not, so it has a lock.

    Attributes:
        in_force: model name -> digest of the bundle in force, None where that is not known here.
        advise: model name, slice -> what a gateway is advised about it.
    """

    def __init__(self, models: Models, graphs: Graphs, decoder: Decoder) -> None:
        self._models, self._graphs, self._decoder = models, graphs, decoder
        self.in_force: Callable[[str], str | None] = lambda model: None
        self.advise: Callable[[str, str], Advice] = lambda model, slice: UNADVISED
        self._lock = threading.Lock()

    def __call__(self, record: Mapping[str, Any]) -> Answer:
        """Score one record. Raises UnscorableError naming the field that is missing or wrong."""
        with self._lock:
            prompt = self._decoder.decode(record, 0.0, "score")
        if isinstance(prompt, Rejection):
            raise UnscorableError(f"record 0: {prompt.reason}: {prompt.detail}")
        bundle = self._models.of(prompt.model_name, self.in_force(prompt.model_name))
        encoder, scorer = self._graphs.of(bundle)
        scores = scorer.score(encoder.encode([prompt.text]))
        topic = int(scores.topic[0])
        return Answer(
            model_name=prompt.model_name,
            bundle=bundle.digest,
            score=float(scores.score[0]),
            p_value=float(scores.p_value[0]),
            strange=bool(scores.strange[0]),
            far=bool(scores.far[0]),
            topic=bundle.topics[topic].words if topic >= 0 else (),
            tokens=int(scores.tokens[0]),
            truncated=bool(scores.truncated[0]),
            advice=self.advise(prompt.model_name, prompt.slice),
        )


def rows_of(prompts: Sequence[Prompt], scores: Scores) -> list[dict[str, Any]]:
    """One line of the scores file (docs/cli.md) for each prompt: never its text."""
    return [
        {
            "id": prompt.id,
            "time": prompt.time,
            "model_name": prompt.model_name,
            "slice": prompt.slice,
            "score": score,
            "p_value": p_value,
            "strange": strange,
            "far": far,
            "topic": topic,
        }
        for prompt, score, p_value, strange, far, topic in zip(
            prompts,
            np.round(scores.score.astype(float), 6).tolist(),
            np.round(scores.p_value.astype(float), 6).tolist(),
            scores.strange.tolist(),
            scores.far.tolist(),
            scores.topic.tolist(),
            strict=True,
        )
    ]
