"""What a new topic is about, in words of the allow-list that enough prompts of enough sessions hold."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from detectors.words import FEWEST_PROMPTS, telling
from service.decider.budget import StreamKey
from service.decider.cause import Causes
from service.decider.incidents import Incidents
from service.decider.mixes import Carried
from service.decider.spoken import Spoken
from service.decider.views import Views
from service.records import WHOLE
from service.vocabulary import Vocabulary

OPENING = "a new topic"
"""How the words of a new topic begin, and what is said instead of them."""

_ABOUT = f"{OPENING} about: "

_UNTOLD = 5 * FEWEST_PROMPTS
"""Prompts with sessions after which it is said that no word stands out."""


class Worded(Protocol):
    """What is read of a model."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Words that may be shown."""
        ...


class NewTopics:
    """Words for incidents whose prompts gather outside all topics: at the opening, or as soon as enough is counted."""

    def __init__(self, models: Mapping[str, Worded], spoken: Mapping[str, Spoken], causes: Causes, length: float) -> None:
        self._models, self._spoken, self._causes, self._length = models, spoken, causes, length

    def told(self, key: StreamKey, carried: Carried, start: float) -> str:
        """What prompts that no topic claims are about since ``start``; empty where it is no new topic, or too early to say."""
        outside = carried.member == "new_topic" or self._causes.grew_outside(key.model_name, start)
        return self._words(key.model_name, start) if key.slice == WHOLE and outside else ""

    def tell(self, incidents: Incidents, views: Views, ends: tuple[float, float]) -> None:
        """Complete explanations that could not say it at the opening: tried when an incident is 1, 2, 4, 8 and so on windows old.

        ``ends``: of the window before and of this one, seconds since the epoch.
        """
        for place in incidents.places():
            incident = incidents.at(place)
            if incident is None or place.slice != WHOLE or _ABOUT in incident.explanation:
                continue
            before, now = (max(int((end - incident.opened) / self._length), 0).bit_length() for end in ends)
            if before == now:
                continue
            key = StreamKey(*place[:3])
            if told := self.told(key, views.carried(key), incident.change_start):
                incidents.explain(place, renewed(incident.explanation, told))

    def _words(self, model: str, start: float) -> str:
        vocabulary, spoken = self._models[model].vocabulary, self._spoken.get(model)
        if vocabulary is None or spoken is None:
            return f"{OPENING} without words: the bundle has no list of words that may be shown, fit it again"
        after = spoken.since(start)
        counted = int(after[0].sum())
        if counted < FEWEST_PROMPTS:
            nameless = self._causes.outside(model, start) >= 2 * FEWEST_PROMPTS + counted
            return f"{OPENING} without words: too few of its prompts name a session, see fields.session" if nameless else ""
        found = telling(after, spoken.before(start), np.array(vocabulary.rows, np.int64), vocabulary.total)
        if found:
            return _ABOUT + ", ".join(vocabulary.words[word] for word in found)
        return f"{OPENING} that no word of the fine-tuning set tells from other prompts" if counted >= _UNTOLD else ""


def renewed(explanation: str, told: str) -> str:
    """The explanation with ``told`` in place of what was said of the new topic before.

    >>> renewed("9.1% in no known topic; a new topic without words: ...; mostly at 03 h", "a new topic about: refund")
    '9.1% in no known topic; mostly at 03 h; a new topic about: refund'
    """
    return "; ".join([*(part for part in explanation.split("; ") if not part.startswith(OPENING)), told])
