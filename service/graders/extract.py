"""Graders that take an answer out of its reasoning: a number, the letter of a choice."""

import math
import re

from service.config.graders import Mcq, Numeric
from service.graders.context import Context, Finding, passed, unscored, wrong
from service.graders.text import visible

_NUMBER = re.compile(r"[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,40})(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?|[-−+]?\.\d{1,40}")
_CONTINENTAL = re.compile(r"[-−+]?\d{1,3}(?:\.\d{3})+,\d+|[-−+]?\d{1,40},\d{1,2}(?!\d)")
_TAIL = 4_000

RIGHT, SAID = "right", "said"
"""Votes of choices: letters only, for figures by class."""


def number(text: str) -> float | None:
    """The last number of a text; ``1,234.5`` and ``1.234,5`` are the same.

    >>> number("so 3 times 4 makes 1,200.50 euros."), number("das sind 1.234,5"), number("none")
    (1200.5, 1234.5, None)
    """
    tail = visible(text[-_TAIL:])
    found = [
        (match.end(), match.end() - match.start(), match[0], foreign)
        for foreign, pattern in ((False, _NUMBER), (True, _CONTINENTAL))
        for match in pattern.finditer(tail)
    ]
    if not found:
        return None
    *_, last, foreign = max(found, key=lambda one: one[:2])
    last = last.replace("−", "-")
    value = float(last.replace(".", "").replace(",", ".") if foreign else last.replace(",", ""))
    return value if math.isfinite(value) else None


def numeric(spec: Numeric, context: Context) -> Finding:
    """The last number is the right one."""
    right = number(spec.value) if isinstance(spec.value, str) else spec.value
    if right is None:
        return unscored()
    said = number(context.reply.text)
    if said is None:
        return wrong(context.reply, "format")
    return passed() if abs(said - right) <= spec.tolerance else wrong(context.reply, "incorrect")


_NAMED = (
    r"(?:answer|choice|option|antwort|r[ée]ponse|respuesta|risposta|resposta)\b[^\n.:]{0,30}?"
    r"(?::|\bis\b|\bist\b|\best\b|\bes\b|\b[eèé]\b)?"
)


def letter(text: str, choices: list[str]) -> str | None:
    """The choice that a text settles on: named as the answer (the last time counts), else standing first or alone.

    >>> letter("A looks right, but the answer is (C).", ["A", "B", "C", "D"]), letter("**B)** Paris", ["A", "B"])
    ('C', 'B')
    """
    said = re.sub(r"[*_`$]+|\\(?:boxed|text)\b", " ", visible(text[-_TAIL:]))
    one = "|".join(re.escape(choice) for choice in sorted(choices, key=len, reverse=True))
    for pattern, flags in (
        (rf"{_NAMED}\s*[(\[{{]*\s*({one})(?![\w'])", re.IGNORECASE),
        (rf"\A\s*[(\[{{]*\s*({one})\s*(?:[)\]}}.:,]|\n|\Z)", 0),
        (rf"(?:\A|\n)[ \t]*[(\[{{]+({one})[)\]}}]", 0),
        (rf"(?:\A|\n)[ \t]*({one})\s*\Z", 0),
    ):
        found = re.findall(pattern, said, flags)
        if found:
            last = found[-1]
            return next(choice for choice in choices if choice.casefold() == last.casefold())
    return None


def mcq(spec: Mcq, context: Context) -> Finding:
    """The letter of the right choice, taken from what was written: endpoints for chat give no likelihood of each choice."""
    if not spec.answer:
        return unscored()
    said = letter(context.reply.text, spec.choices)
    if said is None:
        return wrong(context.reply, "format")
    right = spec.answer.strip().upper()
    votes = {RIGHT: right, SAID: said.upper()}
    return passed(votes=votes) if said.upper() == right else wrong(context.reply, "incorrect")._replace(votes=votes)
