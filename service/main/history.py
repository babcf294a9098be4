"""Learn a baseline from recorded history: block counts of both flags, for ``replay --learn-from`` and ``baseline learn``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.config import Config
from service.decider.decider import Decider
from service.errors import DataError
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
        rows = arguments["blocks"]["strange"]
        if rows:
            found[model] = Learned(arguments, sum(row[1] for row in rows), len({row[0] for row in rows}))
    return found


def learn_history(files: Sequence[Path], bundle: Path, model: str, text: str | None, time: str) -> Learned:
    """For ``baseline learn``: the same for one model, with a bundle from this machine. Raises DataError when no prompt is in the files."""
    from service.main.replay import Options, configuration

    options = Options([str(file) for file in files], bundle, None, text, time, None, "", [], None, None)
    config = configuration(options, model)
    models = Models.load(config)
    found = learn(config, models, Graphs(models, config.compute).scoring())
    if model not in found:
        raise DataError(f"{', '.join(map(str, files))}: no prompt could be read from the history")
    return found[model]
