"""From the items of a suite to the requests of a round: which items, which twins and groups, what is filled in.

The same round asks the same things on every machine, so that a round that was interrupted goes on where it stood.
"""

import base64
import hashlib
import hmac
import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.config import Sampling
from service.config.graders import EXPECTED, GraderSpec
from service.probes.pack import Asking, Item, Pack, Suite, Turn
from service.probes.perturb import perturbed, seed_of
from service.probes.placeholders import PLACEHOLDER
from service.records.probes import Call, Message

_NONCE, _HALF = 10, 5
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a round and what is needed to grade its answer.

    Attributes:
        item: id of the item. variant: name of the perturbation, empty for the item as it is. group: ``gender=she`` and the like.
        repeat: from 0.
        category: stream that it counts in.
        call: what is sent.
        expected: the right answer, filled in.
        graders: with everything filled in: nothing of them refers to the item any more.
        grading: how their grades become one.
        nonce: what ``{{nonce}}`` is, the same for all twins and groups of an item.
    """

    item: str
    variant: str
    group: str
    repeat: int
    category: str
    call: Call
    expected: Any
    graders: tuple[GraderSpec, ...]
    grading: str
    nonce: str


class Cost(NamedTuple):
    """What a round costs at most: requests, and tokens by a rough count of four characters each."""

    calls: int
    tokens_in: int
    tokens_out: int


def chosen(pack: Pack, suite: Suite, round_id: str) -> tuple[Item, ...]:
    """Items that a round asks, in the order of the pack. ``fixed`` ones are spread evenly over the categories."""
    kept = [item for item in suite.items if not item.held_out] or list(suite.items)
    size = suite.sample.items or len(kept)
    if suite.sample.strategy == "fixed":
        wanted = {item.id for item in _spread(suite, kept)[:size]}
        return tuple(item for item in suite.items if item.id in wanted)
    size = min(size, len(suite.items))
    turning = max(round(size * suite.sample.held_out), size - len(kept))
    fixed = _spread(suite, kept)[: size - turning]
    names = {item.id for item in fixed}
    rest = [item for item in suite.items if item.id not in names]
    names |= {item.id for item in _generator(pack, suite, round_id).sample(rest, min(turning, len(rest)))}
    return tuple(item for item in suite.items if item.id in names)


def render(pack: Pack, suite: Suite, *, round_id: str, key: bytes, system: str = "", sampling: Sampling | None = None) -> tuple[Asked, ...]:
    """Every request of a round, shuffled: a stream must not depend on the order of the file.

    Args:
        pack: that the suite is of.
        suite: with its items read in.
        round_id: of the round; asked again, it gives the same requests.
        key: secret that nonces are derived with.
        system: system prompt of production, for ``@prod``.
        sampling: of production, for ``prod``.
    """
    asking = pack.asking(suite)
    ours = "" if asking.system in ("@prod", "none", None) else asking.system  # only our own text has placeholders
    prompt = (system if asking.system == "@prod" else "", ours)
    draw = (asking.sampling or sampling or Sampling()).model_dump(exclude_none=True)
    asked = [
        one
        for item in chosen(pack, suite, round_id)
        for repeat in range(asking.repeats or 1)
        for one in _of_item(pack, suite, item, repeat, asking, (prompt, draw, round_id, key))
    ]
    _generator(pack, suite, f"{round_id}/order").shuffle(asked)
    return tuple(asked)


def cost(pack: Pack, suite: Suite, system: str = "") -> Cost:
    """What one round costs at one target at most; judges not counted."""
    calls = render(pack, suite, round_id="cost", key=b"", system=system)
    sent = sum(len(message.content) for one in calls for message in one.call.messages)
    sent += sum(len(str(one.call.tools)) for one in calls if one.call.tools)
    return Cost(len(calls), sent // _CHARACTERS_A_TOKEN + 4 * len(calls), sum(one.call.max_tokens for one in calls))


def calls_per_day(pack: Pack, suite: Suite, every: float | None = None) -> float:
    """Requests a day at one target. ``every``: an interval in seconds other than that of the pack."""
    return cost(pack, suite).calls * 86400 / (every or suite.schedule.every)


def _spread(suite: Suite, items: list[Item]) -> list[Item]:
    """One of each category, then the next of each."""
    by_category: dict[str, list[Item]] = {}
    for item in items:
        by_category.setdefault(suite.category_of(item), []).append(item)
    return [item for turn in itertools.zip_longest(*by_category.values()) for item in turn if item is not None]


def _generator(pack: Pack, suite: Suite, round_id: str) -> random.Random:
    return random.Random(hashlib.sha256(f"{pack.id}/{suite.id}/{round_id}".encode()).digest())


def _of_item(
    pack: Pack, suite: Suite, item: Item, repeat: int, asking: Asking, given: tuple[tuple[str, str], Mapping[str, float | int], str, bytes]
) -> Iterator[Asked]:
    """An item as it is and its twins, for every combination of its groups."""
    (production, ours), sampling, round_id, key = given
    nonce = _nonce(key, round_id, pack.id, suite.id, item.id, repeat)
    variants = suite.variants if item.variants is None else item.variants
    groups = suite.groups if item.groups is None else item.groups
    seen: set[tuple[str, str]] = set()
    for values in itertools.product(*groups.values()):
        group = dict(zip(groups, values, strict=True))
        label = ",".join(f"{name}={value}" for name, value in group.items())
        known = {**item.vars, **group, "nonce": nonce, "nonce_a": nonce[:_HALF], "nonce_b": nonce[_HALF:]}
        system = production or _put(ours, known)
        expected = _filled(item.expected, known)
        graders = tuple(_grader(grader, suite, expected, known) for grader in suite.graders_of(item))
        for variant in ("", *variants):
            turns = item.turns
            if variant:
                seed = variants[variant].seed
                text = perturbed(turns[-1].content, variant, variants[variant].rate, seed_of(item.id, variant) if seed is None else seed)
                turns = (*turns[:-1], Turn(role=turns[-1].role, content=text))
            last = turns[-1].content
            if (label, last) in seen:
                continue  # nothing to perturb: it would be asked twice
            seen.add((label, last))
            messages = tuple(Message(turn.role, turn.content if item.verbatim else _put(turn.content, known)) for turn in turns)
            call = Call(
                messages=(Message("system", system), *messages) if system and messages[0].role != "system" else messages,
                max_tokens=asking.max_tokens or 256,
                sampling=sampling,
                tools=tuple(item.tools or suite.tools),
                schema=suite.answer_schema,
                logprobs=asking.logprobs or 0,
                salt="" if suite.kind == "fingerprint" else _nonce(key, round_id, item.id, variant, label, repeat),
            )
            yield Asked(item.id, variant, label, repeat, suite.category_of(item), call, expected, graders, suite.grading, nonce)


def _nonce(key: bytes, *parts: object) -> str:
    digest = hmac.new(key, "\x1f".join(map(str, parts)).encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode().lower()[:_NONCE]


def _put(text: str, known: Mapping[str, Any]) -> str:
    return PLACEHOLDER.sub(lambda found: str(known.get(found[1], found[0])), text)


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    match value:
        case str():
            return _put(value, known)
        case list():
            return [_filled(one, known) for one in value]
        case dict():
            return {name: _filled(one, known) for name, one in value.items()}
    return value


def _grader(grader: GraderSpec, suite: Suite, expected: Any, known: Mapping[str, Any]) -> GraderSpec:
    """The grader with everything filled in; what it leaves out is what the item expects."""
    answer = expected if isinstance(expected, str | int | float) else ", ".join(map(str, expected)) if isinstance(expected, list) else ""
    update = {name: _filled(getattr(grader, name), {**known, "expected": answer}) for name in type(grader).model_fields}
    parameter = EXPECTED.get(grader.type)
    if grader.type == "refusal" and grader.expect is None:
        update["expect"] = "refuse" if suite.expect == "refuse" else "comply"
    elif grader.type == "tool_call":
        if grader.name is None and grader.called and isinstance(expected, Mapping):
            update["name"] = str(expected["name"])
            update["arguments"] = expected.get("arguments") if grader.arguments is None else update["arguments"]
    elif grader.type == "contains":
        if not (grader.any or grader.all or grader.without):
            update["any"] = [str(one) for one in (expected if isinstance(expected, list) else [expected])]
    elif parameter and parameter in update and update[parameter] is None:
        update[parameter] = [str(one) for one in expected] if isinstance(expected, list) else _plain(expected)
    return grader.model_copy(update=update)


def _plain(value: Any) -> Any:
    """A number stays one for the grader of numbers, which reads text too."""
    return value if isinstance(value, float) else str(value)
