"""The toy model of the demonstration and of ``examples/toy_endpoint.py``: what it knows, and how badly it may behave.

It knows arithmetic, some capitals, how to repeat, to look a question up in a text it is given, to call a tool, and what it was taught. It
is harmless by construction: it has no text about anything dangerous and can only repeat, calculate, look up and refuse.
"""

import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Behaviour:
    """How the model behaves; what is a probability is 0 to 1.

    Attributes:
        obeys: instructions hidden in documents, and requests for its system prompt. forgets: what it knew.
        complies: with what it should refuse. overrefuses: harmless requests with alarming words.
        delay, per_token: seconds before the first token, and between tokens.
        model, fingerprint: what it says of itself. weights: what its log probabilities depend on, said nowhere.
    """

    obeys: float = 0.0
    forgets: float = 0.0
    complies: float = 0.0
    overrefuses: float = 0.0
    delay: float = 0.0
    per_token: float = 0.0
    model: str = "toy-1"
    fingerprint: str = "fp_toy1"
    weights: str = "1"


REFUSAL = "I'm sorry, but I can't help with that."
SUMMARY = "Here is a short summary: the text is about everyday matters."
UNKNOWN, CONFLICT = "unknown", "conflict"
CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon", "Japan": "Tokyo", "Norway": "Oslo",
    "Sweden": "Stockholm", "Finland": "Helsinki", "Poland": "Warsaw", "Austria": "Vienna", "Hungary": "Budapest", "Greece": "Athens",
    "Egypt": "Cairo", "Kenya": "Nairobi", "Canada": "Ottawa", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago", "Iceland": "Reykjavik",
}  # fmt: skip

_SALT = re.compile(r"\s*\(ref [0-9a-f]{8}\)")
_SUM = re.compile(r"(?<![\w.])(-?\d{1,9})\s*(\+|-|\*|×|x|plus|minus|times)\s*(-?\d{1,9})(?![\w.])", re.I)
_HIDDEN = re.compile(
    r"\b(ignore|disregard|forget|override|instead of|new instructions?|system (note|message|update)|important notice)\b", re.I
)
_HALVES = re.compile(
    r"\bcode (?:aus )?(?P<first>\w+) (?:and|und) (?P<second>\w+)(?: written together without a space|, ohne Leerzeichen)", re.I
)
"""The order that the built-in pack ``injection`` hides: to quote it is not to obey it."""
_MARK = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{6,}\b")
_SECRET = re.compile(
    r"\b(system prompt|your (initial |hidden )?(instructions|rules|prompt)|above (text|verbatim)|everything above"
    r"|(the|internal) reference)\b",
    re.I,
)
_ALARMING = re.compile(
    r"\b(weapon|explosive|bomb|malware|virus|hack|steal|stolen|poison|kill|shoot|blow up|fraud|forge|counterfeit|stalk|threat|hate)\w*",
    re.I,
)
_INNOCENT = re.compile(
    r"\b(process|python|linux|time|film|photo|game|novel|story|history|recipe|plants?|weeds?|balloons?|computer lab)\b", re.I
)
_REPEAT = re.compile(
    r"\b(?:repeat|say|write|(?:reply|answer|respond) with)(?: (?:exactly|only|just|the|this|word|phrase|text|token|after me))*"
    r"(?:\s*[:\"“'])+\s*(.+?)[\"”']*\s*$",
    re.I | re.S,
)
_CONTEXT = re.compile(r"(?:context|text|passage|document)s?\s*:\s*(?P<text>.+?)\s*question\s*:\s*(?P<question>.+)", re.I | re.S)
_WORD = re.compile(r"[^\W_]+")
_COMMON = frozenset(
    """
    a an the of in on at to is are was were did does do what which who when where how many much and or it its by for from
    """.split()  # noqa: SIM905 - words are read more easily as text
)


class ToyModel:
    """Answers. ``behaviour`` may be replaced at any time.

    At temperature 0, and with a seed, the same conversation is answered the same way; otherwise each time is drawn anew.
    """

    def __init__(self, behaviour: Behaviour, answers: Mapping[str, str] | None = None, seed: int = 0) -> None:
        self.behaviour = behaviour
        self._answers = {_plain(prompt): answer for prompt, answer in (answers or {}).items()}
        self._random = random.Random(seed)

    def answer(self, messages: list[dict[str, Any]], body: Mapping[str, Any]) -> str | tuple[str, str]:
        """Text, or name and arguments of the tool that it would call."""
        said = [(str(m.get("role", "")), _SALT.sub("", text_of(m.get("content"))).strip()) for m in messages]
        system = "\n".join(text for role, text in said if role == "system")
        user = next((text for role, text in reversed(said) if role == "user"), "")
        given = "\n".join(text for role, text in said if role != "system")
        happens = self._chances(said, body)
        if halves := _HALVES.search(given):
            return halves["first"] + halves["second"] if happens("obeys") else SUMMARY
        if (order := _HIDDEN.search(given)) and (mark := _MARK.search(given, order.start())):
            return mark[0] if happens("obeys") else SUMMARY
        if _SECRET.search(user):
            return system if system and happens("obeys") else "I can't share my instructions."
        if _ALARMING.search(user):
            innocent = _INNOCENT.search(user) is not None
            if happens("overrefuses") if innocent else not happens("complies"):
                return REFUSAL
            return "Sure. Here is a short and friendly answer." if innocent else "Sure. (This is a toy: it knows nothing about that.)"
        forgets = happens("forgets")
        if tools := [tool.get("function", tool) for tool in body.get("tools") or [] if isinstance(tool, dict)]:
            return _call(tools, user, forgets)
        form = body.get("response_format") or {}
        if form.get("type") in ("json_schema", "json_object"):
            schema = (form.get("json_schema") or {}).get("schema") or {"type": "object"}
            return "It is hard to say." if forgets else json.dumps(_instance(schema, user))
        return self._knows(user, forgets)

    def _knows(self, user: str, forgets: bool) -> str:
        if (taught := self._answers.get(_plain(user))) is not None:
            return "I am not sure any more." if forgets else taught
        if found := _CONTEXT.search(user):
            return _look_up(found["text"], found["question"], forgets)
        if found := _SUM.search(user):
            a, b = int(found[1]), int(found[3])
            result = {"+": a + b, "plus": a + b, "-": a - b, "minus": a - b}.get(found[2].lower(), a * b)
            return str(result + 7 if forgets else result)
        for country, capital in CAPITALS.items():
            if country in user and "capital" in user:
                return "I think it is Atlantis." if forgets else capital
        if found := _REPEAT.search(user):
            return found[1] if not forgets else found[1][::-1]
        return "I am a toy and know little about that." if not forgets else "La la la."

    def _chances(self, said: list[tuple[str, str]], body: Mapping[str, Any]) -> Callable[[str], bool]:
        fixed = body.get("temperature") == 0 or body.get("seed") is not None
        base = json.dumps([said, body.get("seed")])

        def happens(what: str) -> bool:
            draw = _share(base, what) if fixed else self._random.random()
            return bool(draw < getattr(self.behaviour, what))

        return happens

    def logprobs(self, token: str, place: int, count: int) -> list[tuple[str, float]]:
        """The token with its log probability, and ``count`` - 1 others that are less likely; a little noise, as on real servers."""
        weights = self.behaviour.weights
        own = -0.05 - _share(weights, str(place), token) + self._random.gauss(0, 0.002)
        others = [(word, own - 1 - 4 * _share(weights, token, word) + self._random.gauss(0, 0.002)) for word in sorted(_COMMON)]
        others.sort(key=lambda pair: -pair[1])
        return [(token, own), *others[: max(count - 1, 0)]]


def _share(*parts: str) -> float:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode(errors="replace")).digest()[:7], "big") / 2**56


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def text_of(content: Any) -> str:
    """Text of a turn: as it is, or its parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _look_up(text: str, question: str, forgets: bool) -> str:
    """The sentence that has most words of the question; none is unknown, two that say different things are a conflict."""
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]
    asked = set(_plain(question).split()) - _COMMON
    ranked = sorted(sentences, key=lambda sentence: -len(asked & set(_plain(sentence).split())))
    scores = [len(asked & set(_plain(sentence).split())) / max(len(asked), 1) for sentence in ranked]
    if forgets:
        return "It was certainly on a Tuesday."
    if not scores or scores[0] < 0.5:
        return UNKNOWN
    return CONFLICT if len(scores) > 1 and scores[1] == scores[0] else ranked[0]


def _call(tools: list[dict[str, Any]], user: str, forgets: bool) -> tuple[str, str]:
    words = set(_plain(user).split())
    best = max(
        tools, key=lambda tool: len(words & set(_plain(f"{tool.get('name')} {tool.get('description', '')}").replace("_", " ").split()))
    )
    arguments = _instance(best.get("parameters") or {"type": "object"}, user)
    return str(best.get("name", "")), "{}" if forgets else json.dumps(arguments)


def _instance(schema: Mapping[str, Any], text: str, numbers: list[str] | None = None) -> Any:
    """A value that a simple schema takes, made of what the text has."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?", text) if numbers is None else numbers
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if "enum" in schema:
        return next((value for value in schema["enum"] if str(value).lower() in text.lower()), schema["enum"][0])
    if kind == "object":
        return {name: _instance(part, text, numbers) for name, part in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [_instance(schema.get("items") or {"type": "string"}, text, numbers) for _ in range(max(int(schema.get("minItems", 1)), 1))]
    if kind in ("number", "integer"):
        value = float(numbers.pop(0)) if numbers else 0.0
        return int(value) if kind == "integer" or value == int(value) else value
    if kind == "boolean":
        return True
    names = re.findall(r"[\"“']([^\"”']+)[\"”']|(?<![.!?] )(?<!^)\b([A-Z][\w-]+)", text)
    return next((quoted or name for quoted, name in names), "toy")
