"""Signed tags on what we ask, so that it is told apart where prompts come in; and, where tags get lost, the digests of what we ask."""

import base64
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b, sha256
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

HEADER = "X-Tiltmeter-Canary"
SYNTHETIC = {"baggage": "user_agent.synthetic.type=test"}
"""Further header: what OpenTelemetry calls a request that a test has made."""

LONGEST_AGE = 2 * 3600.0
"""Seconds by which a tag may differ from its record's time; one that somebody copied is worth nothing after that."""

_MARK = b"tm1."
_TAG = re.compile(
    r"tm1\.(?P<target>[\w%~-]+)\.(?P<run>[\w-]{8})\.(?P<minute>[0-9a-f]+)\.(?P<nonce>[\w-]{8})\.(?P<seal>[\w-]{22})(?![\w-])", re.A
)
_TAG_BYTES = re.compile(_TAG.pattern.encode())
_SALT = re.compile(r"\s*\(ref [0-9a-f]{8}\)\Z")
_TRIED = 4
"""Tags tried in one record: a client can write thousands that are none."""
_DEEPEST = 6
_TEXTS = frozenset(("messages", "text", "prompt", "input"))


class Canary(NamedTuple):
    """What a valid tag says. ``run``: digest of the run (see :func:`run_digest`); ``time``: to the minute, seconds since the epoch."""

    target: str
    run: str
    time: float


class Seen(NamedTuple):
    """Probes of one target that came back: how many, and the time of the newest one's record, seconds since the epoch."""

    returned: int
    newest: float


def run_digest(run: str) -> str:
    """How a tag names a run: 8 characters, because header and field are short."""
    return _short(sha256(run.encode()).digest()[:6])


def sign(target: str, run: str, now: float, key: bytes, nonce: bytes | None = None) -> str:
    """A tag for one request, about 70 characters of the URL alphabet and dots.

    Args:
        target: name in the configuration. run: id of the suite and round.
        now: seconds since the epoch. key: the secret.
        nonce: 6 bytes, drawn where None.
    """
    name = quote(target, safe="").replace(".", "%2E")
    said = f"tm1.{name}.{run_digest(run)}.{int(now // 60):x}.{_short(secrets.token_bytes(6) if nonce is None else nonce)}"
    return f"{said}.{_seal(said, key)}"


def verify(text: str, key: bytes, now: float | None) -> Canary | None:
    """What the tag says, when this key signed it no longer than :data:`LONGEST_AGE` before or after ``now``; None otherwise.

    ``now`` is the time of the record that carries it, so that a backlog is recognised too; None leaves the age out.
    """
    match = _TAG.fullmatch(text)
    if match is None or not hmac.compare_digest(match["seal"], _seal(text.rpartition(".")[0], key)):
        return None
    minute = int(match["minute"], 16) * 60.0
    if now is not None and abs(now - minute) > LONGEST_AGE:
        return None
    return Canary(unquote(match["target"]), match["run"], minute)


def prompt_digest(text: str, key: bytes) -> bytes:
    """Keyed digest of a prompt's text, a cache's salt at its end left out; it says nothing to who has no key."""
    return blake2b(_SALT.sub("", text).encode(errors="surrogatepass"), key=sha256(key).digest(), digest_size=16).digest()


def _seal(said: str, key: bytes) -> str:
    return _short(hmac.digest(key, said.encode(), "sha256")[:16])


def _short(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Returns:
    """Recognises our own probes among the records that come in, and remembers that they came.

    By a valid tag wherever the record keeps it (header, ``user``, metadata); or, for targets that lose tags, by the exact text of a
    prompt that we ask. A tag that is forged or too old changes nothing. Not shared between threads that write; :meth:`seen` may be read
    from any.

    Args:
        key: the secret that signs.
        prompts: target -> texts of the last user turns that it is asked, for targets that lose tags.

    Cost: under a microsecond for the bytes of a record without a tag, 3 for a parsed one; 5 more where ``prompts`` are given.
    """

    def __init__(self, key: bytes, prompts: Mapping[str, Iterable[str]] | None = None) -> None:
        self._key = key
        self._prompts = {prompt_digest(text, key): target for target, texts in (prompts or {}).items() for text in texts}
        self._seen: dict[str, Seen] = {}

    def tagged(self, record: bytes | Mapping[str, Any], at: float | None) -> bool:
        """Whether the record carries a valid tag. ``at``: its transport's time, seconds since the epoch; of a file there is none."""
        for tag in islice(_tags(record), _TRIED):
            if (canary := verify(tag, self._key, at)) is not None:
                self._count(canary.target, canary.time if at is None else at)
                return True
        return False

    def asked(self, text: str, at: float | None) -> bool:
        """Whether this is exactly the text of a probe whose target loses tags."""
        target = self._prompts.get(prompt_digest(text, self._key)) if self._prompts else None
        if target is None:
            return False
        self._count(target, float("-inf") if at is None else at)
        return True

    def seen(self) -> Mapping[str, Seen]:
        """Target -> what has come back since the process started."""
        return dict(self._seen)

    def _count(self, target: str, at: float) -> None:
        before = self._seen.get(target, Seen(0, at))
        self._seen[target] = Seen(before.returned + 1, max(before.newest, at))


def _tags(record: bytes | Mapping[str, Any]) -> Iterator[str]:
    if isinstance(record, bytes):
        if _MARK in record:
            for match in _TAG_BYTES.finditer(record):
                yield match[0].decode()
    else:
        for text in _strings(record, _DEEPEST):
            if "tm1." in text:
                yield from (match[0] for match in _TAG.finditer(text))


def _strings(value: Any, depth: int) -> Iterator[str]:
    """Strings outside of conversations, where a header or a field would be."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _TEXTS:
                yield from _strings(inner, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value:
            yield from _strings(inner, depth - 1)
