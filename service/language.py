"""Which language a prompt is in: a vote of function words, or the writing system where that says enough.

A light guess for about two microseconds, good for the share of a language in a stream and not for a single prompt: short prompts
without a function word are ``other``. Languages that share a script and are not listed are taken for a relative or for ``other``.

What begins as the inside of a request and not as a sentence is ``other`` too, whatever words follow: markers of chat templates, JSON, XML.
They tell that prompts are taken from the records otherwise than before.
"""

import re
from collections.abc import Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

_WORDS = {
    "english": "the is what how my to of and in i you for do does can are it on me a an not with this have why when where which who please",
    "german": "der die das und ist wie ich nicht ein eine zu mein meine mit auf für von den dem was kann wo warum bitte haben sie es",
    "french": "le la les et est je ne pas un une des du mon ma pour dans que qui comment où pourquoi avec sur vous puis quel quelle",
    "spanish": "el la los las y es no un una de mi mis para en que cómo qué dónde por con cuál puedo quiero está cuándo se su lo",
    "portuguese": "o os as e é não um uma de do da meu minha para em que como onde por com qual posso quero está quando eu você",
    "italian": "il lo gli e è non un una di del della mio mia per in che come dove perché con quale posso voglio quando sono si",
    "dutch": "de het een en is niet ik mijn van voor op met wat hoe waar waarom kan zijn dat te er heb wil naar bij",
    "polish": "i jest nie w na z do mój moja jak co gdzie dlaczego czy się mogę to od dla po za jaki która",
    "turkish": "ve bir bu ne nasıl için değil mi mı benim var yok nerede neden ile çok kadar ben olarak",
    "swedish": "och är inte en ett jag min mitt för på med vad hur var varför kan det att till av som har",
    "indonesian": "dan yang di ke dari untuk saya tidak apa bagaimana ini itu dengan bisa ada mengapa akan pada",
    "vietnamese": "là và của không tôi có làm thế nào cho được trong một những ở đâu tại sao",
}
_SCRIPTS = (
    ("russian", "\u0400-\u04ff"),
    ("greek", "\u0370-\u03ff"),
    ("hebrew", "\u0590-\u05ff"),
    ("arabic", "\u0600-\u06ff"),
    ("hindi", "\u0900-\u097f"),
    ("thai", "\u0e00-\u0e7f"),
    ("japanese", "\u3040-\u30ff"),
    ("korean", "\uac00-\ud7af"),
    ("chinese", "\u4e00-\u9fff"),
)

LANGUAGES: tuple[str, ...] = (*_WORDS, *(name for name, _ in _SCRIPTS), "other")
"""In the order of the counts in a sketch; the last takes what is not known, and markup."""

OTHER = len(LANGUAGES) - 1

_READ = 80
"""Characters looked at."""

_VOTES: dict[str, int] = {}  # one byte a language, so that adding votes is adding numbers; a prompt of 80 characters has under 256 words
for _index, _listed in enumerate(_WORDS.values()):
    for _word in _listed.split():
        _VOTES[_word] = _VOTES.get(_word, 0) + (1 << 8 * _index)

_OPENINGS = ("{", "[{", "<?xml", "System:", "SYSTEM:", "Human:", "User:", "USER:", "Instruction:", "Below is an instruction that describes")
_FIRST = {opening[0] for opening in _OPENINGS}
_MARKERS = re.compile(
    r"<\||\[/?INST\]|<</?SYS>>|</?s>|<bos>|<(?:start|end)_of_turn>|#{2,3} ?(?:instruction|human|user|system|assistant|input|response)\b",
    re.IGNORECASE,
)

_LETTERS = [(len(_WORDS) + i, re.compile(f"[{letters}]")) for i, (_, letters) in enumerate(_SCRIPTS)]


def languages(texts: Sequence[str]) -> NDArray[np.int8]:
    """(B,) int8, index in :data:`LANGUAGES` of each text, from its first 80 characters.

    >>> [LANGUAGES[i] for i in languages(["how do I pay?", "wie kann ich zahlen?", "как мне заплатить", "4711"])]
    ['english', 'german', 'russian', 'other']
    """
    return np.fromiter((_language(text[:_READ]) for text in texts), np.int8, len(texts))


def is_markup(text: str) -> bool:
    """Whether a text begins with a marker of a chat template, or as JSON or XML.

    >>> [is_markup(text) for text in ('<|im_start|>user', "### Instruction:", '{"prompt": "how"}', "is 3 < 4?", "#1 in line")]
    [True, True, True, False, False]
    """
    if text[:1] in _FIRST and text.startswith(_OPENINGS):
        return True
    return ("<" in text or "[" in text or "##" in text) and _MARKERS.search(text) is not None  # nearly all texts end here


def _language(text: str) -> int:
    if is_markup(text):
        return OTHER
    if not text.isascii():
        for index, letters in _LETTERS:
            if letters.search(text):
                return index
    votes = sum(map(_VOTES.get, text.lower().split(), repeat(0)))
    if not votes:
        return OTHER
    ballot = votes.to_bytes(len(_WORDS), "little")
    return ballot.index(max(ballot))
