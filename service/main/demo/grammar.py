"""Text from a small grammar: choices ``(a|b)``, optional parts ``[a]``, slots ``{name}``; the same seed gives the same text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import yaml

Style = Literal["plain", "long", "terse", "typo"]
STYLES: tuple[Style, ...] = ("plain", "long", "terse", "typo")

CHATTER = "chatter"
"""Intent of the little that a bank's assistant was never made for."""

_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several sequences, each as likely."""

    options: tuple["Template", ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A value of the named slot."""

    name: str


Template = tuple["str | Choice | Slot", ...]


@lru_cache(maxsize=4096)
def parse(text: str) -> Template:
    """Parse one template. Raises ValueError for a bracket without its partner."""
    template, stop = _sequence(text, 0, "")
    if stop != len(text):
        raise ValueError(f"unexpected {text[stop]!r} at {stop} in template {text!r}")
    return template


def _sequence(text: str, at: int, until: str) -> tuple[Template, int]:
    parts: list[str | Choice | Slot] = []
    literal = at
    while at < len(text) and text[at] not in until + ")]":
        if text[at] not in "([{":
            at += 1
            continue
        if at > literal:
            parts.append(text[literal:at])
        part, at = _slot(text, at) if text[at] == "{" else _choice(text, at)
        parts.append(part)
        literal = at
    if at > literal:
        parts.append(text[literal:at])
    return tuple(parts), at


def _slot(text: str, at: int) -> tuple[Slot, int]:
    stop = text.find("}", at)
    if stop < 0:
        raise ValueError(f"slot without an end at {at} in template {text!r}")
    return Slot(text[at + 1 : stop]), stop + 1


def _choice(text: str, at: int) -> tuple[Choice, int]:
    closing = _CLOSING[text[at]]
    options: list[Template] = [()] if closing == "]" else []
    while True:
        option, at = _sequence(text, at + 1, "|")
        options.append(option)
        if at >= len(text) or text[at] != "|":
            break
    if at >= len(text) or text[at] != closing:
        raise ValueError(f"bracket without an end before {at} in template {text!r}")
    return Choice(tuple(options)), at + 1


class Grammar:
    """The language of one group of users.

    Attributes:
        intents: name -> weight in production, the fine-tuned intents only.
        unseen: topics that the fine-tuning set knows nothing of.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Take a parsed grammar file."""
        self._document = document
        self._topics: dict[str, Mapping[str, Any]] = {**document["intents"], **document["unseen"]}
        self._topics[CHATTER] = {"full": document["chatter"], "terse": document["chatter"]}
        self.unseen: tuple[str, ...] = tuple(document["unseen"])
        self.intents: dict[str, float] = {name: float(intent["weight"]) for name, intent in document["intents"].items()}

    @classmethod
    def load(cls) -> "Grammar":
        """The grammar of Fernhill Bank, which comes with the package."""
        return cls(yaml.safe_load(files("service.main.demo").joinpath("grammar.yaml").read_text(encoding="utf-8")))

    def say(self, topic: str, style: Style, rng: np.random.Generator) -> str:
        """One prompt of an intent, an unseen topic or chatter. About 20 microseconds."""
        entry = self._topics[topic]
        slots = {**self._document["slots"], **entry.get("slots", {})}
        core = self._expand(parse(_pick(entry["terse" if style == "terse" else "full"], rng)), slots, rng)
        if style == "terse":
            return core
        core = core[0].upper() + core[1:]
        opener, closer = _pick(self._document["openers"], rng), _pick(self._document["closers"], rng)
        if style == "long":
            context = [self._expand(parse(line), slots, rng) for line in rng.permutation(self._document["context"])[: rng.integers(1, 3)]]
            core = " ".join([*context, core]) if rng.random() < 0.5 else " ".join([core, *context])
        elif opener.endswith((", ", ": ")) and not core.startswith(("I ", "I'", "Fernhill")):
            core = core[0].lower() + core[1:]
        said = opener + core + closer
        return _mistype(said, rng) if style == "typo" else said

    def reply(self, intent: str) -> str:
        """What the assistant was taught to answer."""
        return str(self._document["intents"][intent]["reply"])

    def _expand(self, template: Template, slots: Mapping[str, Sequence[str]], rng: np.random.Generator) -> str:
        out: list[str] = []
        for part in template:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, Slot):
                out.append(self._expand(parse(_pick(slots[part.name], rng)), slots, rng))
            else:
                out.append(self._expand(part.options[int(rng.integers(len(part.options)))], slots, rng))
        return "".join(out)


def _pick(values: Sequence[str], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def _mistype(text: str, rng: np.random.Generator) -> str:
    """Lower case, and one to three letters swapped, dropped or doubled."""
    letters = list(text.lower())
    for at in rng.integers(1, max(2, len(letters) - 1), size=int(rng.integers(1, 4))):
        if at + 1 >= len(letters) or not (letters[at].isalpha() and letters[at + 1].isalpha()):
            continue
        kind = rng.integers(3)
        if kind == 0:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            letters[at] = "" if kind == 1 else letters[at] * 2
    return "".join(letters)
