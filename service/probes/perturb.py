"""Perturbed twins of a prompt: the same question, put badly. A good model answers all of them alike.

Every perturbation is a function of a text, a generator and the share of words that it touches. The generator's seed is fixed for each
item for ever, so that what varies from round to round is the model. Placeholders such as ``{{nonce}}`` are never touched.
"""

import hashlib
import random
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

_PLACEHOLDER = re.compile(r"(\{\{\s*\w+\s*\}\})")
_WORD = re.compile(r"[^\W\d_]{4,}")

Perturbation = Callable[[str, random.Random, float], str]

_SHORT = {
    "do not": "don't",
    "does not": "doesn't",
    "did not": "didn't",
    "is not": "isn't",
    "are not": "aren't",
    "cannot": "can't",
    "could not": "couldn't",
    "will not": "won't",
    "would not": "wouldn't",
    "should not": "shouldn't",
    "have not": "haven't",
    "has not": "hasn't",
    "i am": "i'm",
    "i have": "i've",
    "i will": "i'll",
    "it is": "it's",
    "that is": "that's",
    "what is": "what's",
    "who is": "who's",
    "where is": "where's",
    "you are": "you're",
    "we are": "we're",
    "they are": "they're",
    "let us": "let's",
}
_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL_WORDS = frozenset({"a", "an", "the", "is", "are", "was", "were", "be", "to", "of", "do", "does", "did", "have", "has"})

_NOISE = ("umm so ", "ok wait, ", "hey, quick one, ", "(typing on my phone sorry) ", "er... ")
_NOISE_END = (" ...if that makes sense", " thx", " -- sent from my phone", " lol", " (asking for a colleague)")
_SARCASM = ("Oh great, another brilliant machine. Let's see how badly you do here: ", "Sure, because you know everything. Dazzle me: ")
_SARCASM_END = (" I can hardly wait for your wisdom.", " No doubt this will be spectacular.")
_FRUSTRATION = ("I have asked this three times now and nobody helps. ", "This is really getting on my nerves!! ", "For heaven's sake, ")
_FRUSTRATION_END = (" Just answer properly for once.", " I do not have all day!")


def _words(text: str, rng: random.Random, rate: float, change: Callable[[str], str]) -> str:
    """Change a share of the words of four letters or more, at least one where there is one."""
    words = list(_WORD.finditer(text))
    if not words:
        return text
    chosen = rng.sample(words, max(1, round(rate * len(words))))
    for word in sorted(chosen, key=lambda found: -found.start()):
        text = text[: word.start()] + change(word.group()) + text[word.end() :]
    return text


def typos(text: str, rng: random.Random, rate: float) -> str:
    """Swap two neighbouring letters inside words."""

    def swap(word: str) -> str:
        places = [i for i in range(1, len(word) - 1) if word[i] != word[i + 1]]
        if not places:
            return word
        i = rng.choice(places)
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]

    return _words(text, rng, rate, swap)


def lowercase(text: str, rng: random.Random, rate: float) -> str:
    """No capitals."""
    return text.lower()


def uppercase(text: str, rng: random.Random, rate: float) -> str:
    """CAPITALS ONLY."""
    return text.upper()


def punctuation(text: str, rng: random.Random, rate: float) -> str:
    """No punctuation but what stands inside numbers and words."""
    return re.sub(r"(?<!\w)[.,;:!?'\"]+|[.,;:!?'\"]+(?!\w)", "", text)


def accents(text: str, rng: random.Random, rate: float) -> str:
    """No accents: e for é."""
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", bare)


def contractions(text: str, rng: random.Random, rate: float) -> str:
    """``don't`` for ``do not``; where there are only short forms, the long ones."""
    short = _replaced(text, _SHORT)
    return short if short != text else _replaced(text, {short: long for long, short in _SHORT.items()})


def _replaced(text: str, words: Mapping[str, str]) -> str:
    def put(found: re.Match[str]) -> str:
        word = words[found.group().lower()]
        return word[0].upper() + word[1:] if found.group()[0].isupper() else word

    return re.sub(rf"\b({'|'.join(map(re.escape, words))})\b", put, text, flags=re.IGNORECASE)


def _spelled(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{_ONES[number // 100]} hundred" + (f" and {_spelled(number % 100)}" if number % 100 else "")
    return f"{_spelled(number // 1000)} thousand" + (f" {_spelled(number % 1000)}" if number % 1000 else "")


def numbers(text: str, rng: random.Random, rate: float) -> str:
    """Whole numbers below a million in words."""
    return re.sub(r"(?<![\w.,])\d{1,6}(?![\w]|[.,]\d)", lambda found: _spelled(int(found.group())), text)


def noisy(text: str, rng: random.Random, rate: float) -> str:
    """Typed in a hurry: fillers, lower case, a few slips."""
    return rng.choice(_NOISE) + typos(text.lower(), rng, rate) + rng.choice(_NOISE_END)


def ungrammatical(text: str, rng: random.Random, rate: float) -> str:
    """Small words left out, as by somebody who is learning the language."""
    kept = [word for word in re.split(r"(\s+)", text) if word.strip().lower() not in _SMALL_WORDS or word.isspace()]
    return re.sub(r"[ \t]{2,}", " ", "".join(kept)).strip()


def sarcastic(text: str, rng: random.Random, rate: float) -> str:
    """Sarcasm around the question."""
    return rng.choice(_SARCASM) + text + rng.choice(_SARCASM_END)


def frustrated(text: str, rng: random.Random, rate: float) -> str:
    """Anger around the question."""
    return rng.choice(_FRUSTRATION) + text + rng.choice(_FRUSTRATION_END)


def _framed(before: str, after: str) -> Perturbation:
    def frame(text: str, rng: random.Random, rate: float) -> str:
        return f"{before}\n\n{text}\n\n{after}"

    return frame


PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType(
    {
        "typos": typos,
        "lowercase": lowercase,
        "uppercase": uppercase,
        "punctuation": punctuation,
        "accents": accents,
        "contractions": contractions,
        "numbers": numbers,
        "noisy": noisy,
        "ungrammatical": ungrammatical,
        "sarcastic": sarcastic,
        "frustrated": frustrated,
        "frame-de": _framed("Guten Tag, ich habe folgende Frage:", "Antworten Sie bitte in der Sprache der Frage. Danke."),
        "frame-es": _framed("Buenos días, tengo la siguiente pregunta:", "Responda por favor en el idioma de la pregunta. Gracias."),
        "frame-fr": _framed("Bonjour, voici ma question :", "Merci de répondre dans la langue de la question."),
        "frame-it": _framed("Buongiorno, ho questa domanda:", "Per favore, risponda nella lingua della domanda. Grazie."),
        "frame-nl": _framed("Goedendag, ik heb de volgende vraag:", "Antwoord alstublieft in de taal van de vraag. Bedankt."),
        "frame-pt": _framed("Bom dia, tenho a seguinte pergunta:", "Por favor, responda no idioma da pergunta. Obrigado."),
    }
)
"""Every perturbation by the name that packs use. The ``frame-`` ones put a greeting of another language around the text."""


def seed_of(item: str, variant: str) -> int:
    """Seed of a twin that names none: the same for ever, on every machine."""
    return int.from_bytes(hashlib.sha256(f"{item}\n{variant}".encode()).digest()[:8], "big")


def perturbed(text: str, variant: str, rate: float, seed: int) -> str:
    """The twin of a text; the text itself where the perturbation finds nothing to change. Raises KeyError for an unknown variant.

    >>> perturbed("Please do not forward {{nonce}} to 12 people.", "contractions", 0.1, 1)
    "Please don't forward {{nonce}} to 12 people."
    """
    keys = _PLACEHOLDER.findall(text)
    # A private character stands for each placeholder, so that frames and swaps see one text and leave it whole.
    marked = _PLACEHOLDER.sub("\ue000", text)
    twin = PERTURBATIONS[variant](marked, random.Random(seed), rate)
    parts = twin.split("\ue000")
    return "".join(part + (keys[i] if i < len(keys) else "") for i, part in enumerate(parts))
