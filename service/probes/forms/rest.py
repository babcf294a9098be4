"""An endpoint of another form: a JSON body from a template, an answer at a JSON pointer."""

from collections.abc import Mapping
from typing import Any

from service.config import Rest
from service.probes.forms.contract import Answer, Capabilities
from service.records.probes import Call

INPUT, MESSAGES = "$INPUT", "$MESSAGES"


class RestForm:
    """Neither streams nor counts tokens; sampling, tools and schemas are what the template says."""

    path = ""
    streams = False

    def __init__(self, settings: Rest) -> None:
        self._template = settings.body
        self._steps = [step.replace("~1", "/").replace("~0", "~") for step in settings.answer.split("/")[1:]]

    def body(self, call: Call, can: Capabilities, tag: str) -> Any:
        """The template with its places filled."""
        users = [message.content for message in call.messages if message.role == "user"]
        messages = [{"role": message.role, "content": message.content} for message in call.messages]
        return _filled(self._template, users[-1] if users else "", messages)

    def reader(self) -> "RestReader":
        """For one answer."""
        return RestReader(self._steps)


def _filled(template: Any, last: str, messages: list[dict[str, str]]) -> Any:
    if isinstance(template, str):
        return messages if template == MESSAGES else template.replace(INPUT, last)
    if isinstance(template, Mapping):
        return {name: _filled(value, last, messages) for name, value in template.items()}
    return [_filled(value, last, messages) for value in template] if isinstance(template, list) else template


class RestReader:
    """Finds the text, or nothing."""

    def __init__(self, steps: list[str]) -> None:
        self.grew = False
        self._steps = steps
        self._answer = Answer()

    def take(self, body: Any) -> None:
        """The whole body."""
        for step in self._steps:
            if isinstance(body, Mapping):
                body = body.get(step)
            elif isinstance(body, list) and step.isdecimal() and int(step) < len(body):
                body = body[int(step)]
            else:
                return
        if isinstance(body, str):
            self._answer = Answer(text=body, found=True, ended=True)

    def answer(self) -> Answer:
        """The text, if it was there."""
        return self._answer
