"""Answers made comparable: read up to a bound, without what nobody sees, in one spelling."""

import re
import unicodedata

READ = 100_000
"""Characters of an answer that graders read; what comes after is not looked at."""

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_SPACES = re.compile(r"\s+")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´′＇", "'"))
_WORDS = re.compile(r"\w+")
_LETTER, _OTHER = re.compile(r"[a-z]"), re.compile(r"[\u0370-\u04ff]")
_LIKE_LATIN = str.maketrans("асеорхуікмтвнαειοκνρτυχ", "aceopxyikmtbnaeioknptux")
_MARKUP = re.compile(r"[*_#>|~]+")


def visible(text: str) -> str:
    """The first :data:`READ` characters without terminal sequences, control, format and unassigned characters; line ends stay.

    >>> visible("a\\x1b[31mb\\x00c\\u202ed")
    'abcd'
    """
    kept = _SEQUENCES.sub("", text[:READ])
    if kept.replace("\n", "").isprintable():
        return kept
    return "".join(c for c in kept if c in "\n\t" or unicodedata.category(c)[0] != "C")


def folded(text: str) -> str:
    """:func:`visible` in compatibility form, without case and accents, with straight apostrophes and single spaces, trimmed.

    >>> folded("  Je ne peux pas t’Aider\\n à ça ")
    "je ne peux pas t'aider a ca"
    """
    return _SPACES.sub(" ", _plain(visible(text))).strip()


def prose(text: str) -> str:
    """:func:`folded` without the signs of Markdown."""
    return _SPACES.sub(" ", _MARKUP.sub(" ", _plain(visible(text)))).strip()


def squeezed(text: str) -> str:
    """Letters and digits only, without case and accents: however it is spaced and punctuated.

    >>> squeezed("P-W-N ed_77")
    'pwned77'
    """
    return "".join(c for c in folded(text) if c.isalnum())


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower().translate(_APOSTROPHES)
    decomposed = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES).casefold())[:READ]  # one character may become eighteen
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return _WORDS.sub(_latin, plain) if _OTHER.search(plain) else plain


def _latin(word: re.Match[str]) -> str:
    """A word of Latin letters, some of which are Greek or Cyrillic ones that look alike."""
    return word[0].translate(_LIKE_LATIN) if _LETTER.search(word[0]) and _OTHER.search(word[0]) else word[0]
