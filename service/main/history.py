"""Learn a baseline from recorded history, through the same decider that learns live: for ``replay --learn-from`` and ``baseline learn``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.config import Config
from service.decider.decider import Decider
from service.errors import ConfigError, DataError
from service.main.models import Graphs, Models
from service.main.playing import play
from service.pipeline.scoring import Scoring


@dataclass(frozen=True, slots=True)
class Learned:
    """Arguments of a ``baseline.learn`` command (without the model), and what they come from."""

    arguments: Mapping[str, Any]
    prompts: int
    days: int

    @property
    def source(self) -> str:
        """Where it comes from, for the audit."""
        return str(self.arguments["source"])


def learn(config: Config, models: Models, scoring: Scoring) -> dict[str, Learned]:
    """Play the configured files and count; model -> what was learned. Models without a prompt in them are left out."""
    decider = Decider(models.watched(config), config, "history")
    play(config, scoring, decider)
    names = ", ".join(Path(path).name for path in getattr(config.source, "paths", ()))
    found = {}
    for model in config.models:
        arguments = decider.learned(model, names)
        if arguments["prompts"]:
            found[model] = Learned(
                {name: arguments[name] for name in ("history", "source")}, int(arguments["prompts"]), int(arguments["days"])
            )
    return found


def learn_history(
    files: Sequence[Path],
    bundle: Path | None,
    config_file: Path | None,
    model: str,
    text: str | None,
    time: str | None,
    shadow: bool = False,
) -> Learned:
    """For ``baseline learn``: the same for one model, with a bundle from this machine.

    With the service's configuration it is counted as the service counts: by its fields, slices, windows and time zone; with ``shadow``
    by the model's second bundle where none is given.

    Raises:
        DataError: no prompt is in the files.
        ConfigError: neither bundle nor configuration, or one that does not know the model.
    """
    from service.main.replay import Options, configuration

    time = time if time or config_file else "time"
    options = Options([str(file) for file in files], bundle, config_file, text, time, None, "", [], None, None)
    config = configuration(options, model)
    if model not in config.models:
        raise ConfigError(f"{config_file}: no model is called {model!r}; known: {', '.join(config.models)}")
    chosen = config.models[model]
    if shadow and bundle is None:
        if chosen.shadow is None:
            raise ConfigError(f"{config_file}: models.{model}.shadow is not set; name the bundle there or with --bundle")
        chosen = chosen.model_copy(update={"bundle": chosen.shadow})
    config = config.model_copy(update={"models": {model: chosen}})
    models = Models.load(config)
    found = learn(config, models, Graphs(models, config.compute).scoring())
    if model not in found:
        raise DataError(f"{', '.join(map(str, files))}: no prompt could be read from the history")
    return found[model]
