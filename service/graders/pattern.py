"""Regular expressions of other people on texts of other people: in a process of their own, which is ended when it takes too long.

The matcher of Python can take longer than anybody waits and cannot be interrupted. A pattern with at most one simple repeat is safe on a
short text; everything else is searched for by a child process, which costs about 20 ms.
"""

import asyncio
import json
import re
import sys

from service.config.graders import Regex
from service.graders.context import Context, Finding, passed, unscored, wrong
from service.graders.text import visible

READ = 20_000
"""Characters that are searched."""

SECONDS = 1.0

_SIMPLE = 4_000
_ESCAPED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATS = re.compile(r"[*+?{]")
_CHILD = "import json,re,sys;p,f,t=json.load(sys.stdin);sys.exit(10 if re.search(p,t,f) else 11)"


def safe(pattern: str) -> bool:
    """Whether at most one sign or class repeats, and no group does: then a search takes at most the square of the length."""
    plain = _ESCAPED.sub("x", pattern)
    return len(_REPEATS.findall(plain)) <= 1 and not re.search(r"\)[*+?{]", plain)


async def search(pattern: str, text: str, *, ignore_case: bool = False) -> bool | None:
    """Whether a pattern is found in the first :data:`READ` characters; None when it is no pattern or took too long."""
    flags = re.IGNORECASE if ignore_case else 0
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError):
        return None
    text = text[:READ]
    if safe(pattern) and len(text) <= _SIMPLE:
        return compiled.search(text) is not None
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        "-c",
        _CHILD,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await asyncio.wait_for(child.communicate(json.dumps([pattern, flags, text]).encode()), SECONDS)
    except TimeoutError:
        return None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return {10: True, 11: False}.get(child.returncode or 0)


async def regex(spec: Regex, context: Context) -> Finding:
    """A pattern is found; a pattern that takes too long leaves the answer unscored."""
    if not spec.pattern:
        return unscored()
    found = await search(spec.pattern, visible(context.reply.text[:READ]), ignore_case=spec.ignore_case)
    if found is None:
        return unscored()
    return passed() if found != spec.negate else wrong(context.reply, "format")
