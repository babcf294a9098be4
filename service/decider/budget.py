"""Which streams there are, and how the two budgets of false alarms are split over them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.config import Config
from service.errors import ConfigError
from service.records import WHOLE

RATES: Mapping[str, str] = {"ood_share": "strange", "far_share": "far", "new_topic": "in no known topic", "truncation": "cut off"}
"""Streams that count one kind of prompt, and what that kind is called."""

COUNTED: Mapping[str, str] = {"ood_share": "strange", "far_share": "far", "truncation": "truncated"}
"""Rate stream -> the count of a sketch that it is about; new_topic is about the last of its topics."""

TABLES: Mapping[str, str] = {"topic_mix": "topics", "language": "languages", "length": "lengths"}
"""Stream over categories -> the counts of a sketch that it is about."""

MIXES = tuple(TABLES)
"""Streams that count every category of prompts."""

PAGING = ("ood_share", "far_share", "topic_mix", "embedding_shift", "combined")
"""Streams of a whole model that may page and open tickets."""

TICKETS = ("new_topic", "language", "length", "truncation", "volume")
"""Streams of a whole model that open tickets at most."""

SLICED = ("ood_share", "far_share")
"""Streams of a slice; they may page."""

DATA_PROBLEMS: Mapping[str, str] = {
    "truncation": "more prompts are cut off",
    "language": "languages moved",
    "length": "lengths moved",
}
"""Streams that move when prompts are extracted otherwise than they were for the fine-tuning set."""

RECOVERY = 6 * 3600.0
"""A false closing is expected once in this many seconds (event time) spent exactly at the bound."""


class StreamKey(NamedTuple):
    """One stream; ``slice`` is empty for the model as a whole."""

    model_name: str
    slice: str
    stream: str


class Weighted(Protocol):
    """What is read of a model: its weight, its slices, and the parts of its budget that these and its probes have together."""

    @property
    def weight(self) -> float:
        """Relative to the other models."""
        ...

    @property
    def slices(self) -> Sequence[str]:
        """Values that are tested."""
        ...

    @property
    def slices_weight(self) -> float:
        """Between 0 and 1."""
        ...

    @property
    def probes_weight(self) -> float:
        """Part of its budgets that its probes have; 0 where it has none."""
        ...


def layout(models: Mapping[str, Weighted]) -> tuple[StreamKey, ...]:
    """Every stream, in the order of all arrays: model by model, the whole before its slices."""
    return tuple(
        StreamKey(name, *place)
        for name, model in models.items()
        for place in [(WHOLE, stream) for stream in (*PAGING, *TICKETS)] + [(value, stream) for value in model.slices for stream in SLICED]
    )


def shares(models: Mapping[str, Weighted]) -> NDArray[np.float64]:
    """(2, S): part of the ticket and of the page budget that each stream of :func:`layout` has; both sum to 1 where no model has
    probes, which have their part beside these streams.

    By weight over the models; a model with slices gives these ``slices_weight`` of its part, evenly. Tickets are split evenly over all
    streams of the whole model, pages over those that may page.
    """
    total = sum(model.weight for model in models.values())
    rows = []
    for model in models.values():
        part = model.weight / total * (1 - model.probes_weight)
        sliced = model.slices_weight if model.slices else 0.0
        whole = part * (1 - sliced)
        rows += [(whole / len(PAGING + TICKETS), whole / len(PAGING))] * len(PAGING)
        rows += [(whole / len(PAGING + TICKETS), 0.0)] * len(TICKETS)
        each = part * sliced / max(1, len(model.slices) * len(SLICED))
        rows += [(each, each)] * (len(model.slices) * len(SLICED))
    return np.array(rows).T


def full_rates(config: Config, models: Mapping[str, Weighted]) -> NDArray[np.float64]:
    """(2, S): expected false tickets and false pages per window of each stream, where it may reach that level.

    Raises:
        ConfigError: a budget of more than one alarm per window and stream, or windows too long for a recovery test.
    """
    budgets = np.array([config.budgets.ticket, config.budgets.page])
    rates = shares(models) * config.windows.length / budgets[:, None]
    rates[1] *= config.detection.paging
    for key, rate in zip(("ticket", "page"), rates, strict=True):
        if (rate >= 1).any():
            raise ConfigError(f"budgets.{key}: expected less than one alarm per window and stream")
    if config.windows.length >= RECOVERY:
        raise ConfigError(f"windows.length: expected less than {RECOVERY / 3600:.0f} hours")
    return np.asarray(rates)
