"""Graders of form: JSON by a schema, and calls of functions, which are read and never run."""

from collections.abc import Mapping

from service.config.graders import JsonSchema, ToolCalled
from service.graders.context import Context, Finding, failed, passed, unscored, wrong
from service.graders.schema import NoJson, Unsupported, equal, keeps, parse
from service.records.probes import ToolCall

_MOST = 50
"""Calls that are looked at."""


def json_schema(spec: JsonSchema, context: Context) -> Finding:
    """The answer is JSON and keeps to the schema."""
    try:
        return passed() if keeps(parse(context.reply.text, spec.whole), spec.form) else wrong(context.reply, "format")
    except NoJson:
        return wrong(context.reply, "format")
    except (Unsupported, TypeError, ValueError, AttributeError, RecursionError, ZeroDivisionError):
        return unscored()  # the schema itself is wrong


def tool_call(spec: ToolCalled, context: Context) -> Finding:
    """The right function with the right arguments, and no other one.

    The score is the F1 of name and arguments of the best call; arguments that are not asked for are free and count neither way.
    """
    calls = context.reply.tool_calls[:_MOST]
    if not spec.called:
        return failed("incorrect") if calls else passed()
    if not calls:
        return wrong(context.reply, "incorrect")
    try:
        judged = [_call(spec, call) for call in calls]
    except (Unsupported, TypeError, ValueError, AttributeError, RecursionError, ZeroDivisionError):
        return unscored()
    right = all(ok for ok, _, _ in judged) and len(context.reply.tool_calls) <= _MOST
    best = max(score for _, score, _ in judged)
    if right:
        return passed()
    return failed("incorrect" if any(readable for *_, readable in judged) else "format", min(best, 0.99))


def _call(spec: ToolCalled, call: ToolCall) -> tuple[bool, float, bool]:
    """Whether it is right, its F1, and whether its arguments could be read."""
    try:
        arguments = parse(call.arguments or "{}")
    except NoJson:
        arguments = None
    named = spec.name is None or call.name == spec.name
    if not isinstance(arguments, Mapping):
        return False, 0.0, False
    wanted = spec.arguments or {}
    hits = named + sum(name in arguments and equal(arguments[name], value) for name, value in wanted.items())
    said = 1 + sum(name in arguments for name in wanted)
    kept = spec.form is None or keeps(dict(arguments), spec.form)
    return named and hits == 1 + len(wanted) and kept, 2 * hits / (said + 1 + len(wanted)), True
