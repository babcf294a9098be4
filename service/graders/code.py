"""The operator's own graders in Python, where ``probes.allow_code`` says that they may run."""

import asyncio
import importlib
from typing import get_args

from service.config.graders import Python
from service.graders.context import Context, Finding, failed, passed, unscored
from service.records.probes import Failure, Outcome


async def python(spec: Python, context: Context) -> Finding:
    """Call ``module:function`` with (asked, reply) in a thread. It gives an outcome, or a pair of an outcome and a failure kind.

    What it raises passes through: its grade is the caller's to give up on.
    """
    if not context.allow_code:
        return unscored()
    module, _, name = spec.entry.partition(":")
    function = getattr(importlib.import_module(module), name)
    said = await asyncio.to_thread(function, context.asked, context.reply)
    outcome, failure = said if isinstance(said, tuple) else (said, None)
    if outcome not in get_args(Outcome) or (failure is not None and failure not in get_args(Failure)):
        return unscored()
    if outcome == "fail":
        return failed(failure or "incorrect")
    return passed() if outcome == "pass" else unscored(failure)
