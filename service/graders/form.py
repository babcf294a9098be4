"""Graders of how an answer came: in time, long enough, without running in a loop, in the right language."""

from collections import Counter

from service.config.graders import Language, Latency, Length, Repetition
from service.graders.context import Context, Finding, failed, passed, unscored, wrong
from service.graders.text import visible
from service.language import LANGUAGES, languages

COUNTED = 200_000
"""Characters in which words and lines are counted."""

TAIL = 4_000
_TIMES, _SHORTEST = 5, 60
_LINE, _PART = 8, 0.5

CODES = {
    "en": "english", "de": "german", "fr": "french", "es": "spanish", "pt": "portuguese", "it": "italian", "nl": "dutch",
    "pl": "polish", "tr": "turkish", "sv": "swedish", "id": "indonesian", "vi": "vietnamese", "ru": "russian", "el": "greek",
    "he": "hebrew", "ar": "arabic", "hi": "hindi", "th": "thai", "ja": "japanese", "ko": "korean", "zh": "chinese",
}  # fmt: skip
"""ISO 639-1 codes of the languages that are told apart."""

_CHUNK, _CHUNKS = 80, 12


def latency(spec: Latency, context: Context) -> Finding:
    """In time; what seems to come from a cache says nothing of the model."""
    reply = context.reply
    took = reply.first_token if spec.of == "first_token" else reply.seconds
    if took is None or reply.suspect_cached:
        return unscored()
    return passed() if took <= spec.at_most else failed("slow")


def length(spec: Length, context: Context) -> Finding:
    """Neither too long nor too short; at most the first :data:`COUNTED` characters are counted."""
    text = context.reply.text
    said = (
        len(text)
        if spec.unit == "characters"
        else len(text[:COUNTED].split())
        if spec.unit == "words"
        else len(text[:COUNTED].splitlines())
    )
    right = (spec.at_most is None or said <= spec.at_most) and (spec.at_least is None or said >= spec.at_least)
    return passed() if right else wrong(context.reply, "format")


def loops(text: str) -> bool:
    """Whether a text ends in the same words five times or more, or mostly is one line again and again.

    The shortest period of each ending comes from the prefix function of the reversed tail, in linear time.

    >>> loops("It is so. " * 9), loops("One, two, three, four, five, six, seven, eight, nine, ten, eleven and twelve.")
    (True, False)
    """
    tail = " ".join(visible(text[-TAIL:]).split())[::-1]
    border = [0] * len(tail)
    for end in range(1, len(tail)):
        size = border[end - 1]
        while size and tail[end] != tail[size]:
            size = border[size - 1]
        border[end] = size + (tail[end] == tail[size])
        period = end + 1 - border[end]
        if end + 1 >= max(_SHORTEST, _TIMES * period) and any(c.isalnum() for c in tail[:period]):
            return True
    lines = [
        line for line in (line.strip() for line in text[-10 * TAIL :].splitlines()) if len(line) >= _LINE and any(c.isalnum() for c in line)
    ]
    return bool(lines) and max(Counter(lines).values()) >= max(_TIMES, _PART * len(lines))


def repetition(spec: Repetition, context: Context) -> Finding:
    """No loop."""
    if not visible(context.reply.text).strip():
        return wrong(context.reply, "empty")
    return failed("loop") if loops(context.reply.text) else passed()


def language(spec: Language, context: Context) -> Finding:
    """In a language, by the vote of up to twelve parts of 80 characters; unscored where none of them tells."""
    wanted = CODES.get((spec.code or "").strip().lower())
    if wanted is None:
        return unscored()
    text = " ".join(visible(context.reply.text[: 2 * _CHUNK * _CHUNKS]).split())
    parts = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)][:_CHUNKS]
    votes = Counter(LANGUAGES[int(of)] for of in languages(parts))
    del votes["other"]
    if not text:
        return wrong(context.reply, "empty")
    if not votes:
        return unscored()
    return passed() if votes.most_common(1)[0][0] == wanted else wrong(context.reply, "incorrect")
