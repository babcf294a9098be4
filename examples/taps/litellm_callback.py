"""LiteLLM callback: prompts go to Tiltmeter after they were answered, from a thread of its own.

Proxy: put this file, tiltmeter_sender.py and tiltmeter_record.py beside config.yaml, set TILTMETER_URL and TILTMETER_TOKEN, and name it:

    litellm_settings:
      callbacks: litellm_callback.tap

Library: `litellm.callbacks = [TiltmeterCallback(Sender(url, token))]`.
"""

import os
from collections.abc import Mapping
from typing import Any

from litellm.integrations.custom_logger import CustomLogger
from tiltmeter_record import Record, prompt_record
from tiltmeter_sender import Sender

REDACTED = "redacted-by-litellm"
"""What LiteLLM puts in place of messages where `turn_off_message_logging` is on: there is nothing to count then."""
CALLS = frozenset(("completion", "acompletion", "text_completion", "atext_completion", "responses", "aresponses", "anthropic_messages"))
"""Calls that carry prompts; LiteLLM reports embeddings, images and the like as well."""


class TiltmeterCallback(CustomLogger):
    """Reports every prompt that was answered.

    Args:
        sender: shared by all calls of the process.
        failures: also those that failed. LiteLLM reports every attempt, so a prompt that is tried again counts again.
    """

    def __init__(self, sender: Sender, *, failures: bool = False) -> None:
        super().__init__()
        self.sender = sender
        self.failures = failures

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Of `completion`; LiteLLM calls it in a thread."""
        self._report(kwargs)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Of `acompletion` and the proxy; LiteLLM calls it on the event loop, after the answer."""
        self._report(kwargs)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """As log_success_event."""
        if self.failures:
            self._report(kwargs)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """As async_log_success_event."""
        if self.failures:
            self._report(kwargs)

    def _report(self, kwargs: Mapping[str, Any]) -> None:
        if kwargs.get("call_type") not in CALLS:
            return
        # Now and not in the sender's thread: `kwargs` holds the answer as well, which need not be kept alive.
        try:
            record = litellm_record(kwargs)
        except Exception:  # a field that this version of LiteLLM writes otherwise
            return self.sender.count_drop("unreadable")
        if record is not None:
            self.sender.put(record)


def litellm_record(kwargs: Mapping[str, Any]) -> Record | None:
    """Of what LiteLLM hands to a callback what Tiltmeter needs: the name that clients ask for, not that of the deployment behind it."""
    payload = kwargs.get("standard_logging_object") or {}
    settings = kwargs.get("litellm_params") or {}
    metadata = payload.get("metadata") or {}
    headers = (settings.get("proxy_server_request") or {}).get("headers") or metadata.get("requester_custom_headers") or {}
    messages = payload.get("messages") or kwargs.get("messages")
    body = {
        "messages" if isinstance(messages, list) else "prompt": messages,
        "model": payload.get("model_group") or kwargs.get("model"),
        "session_id": payload.get("session_id") or settings.get("litellm_session_id"),
        "user": payload.get("end_user") or kwargs.get("user"),
        "metadata": settings.get("metadata"),
    }
    record = prompt_record(body, headers)
    if record is None or record["text"] == REDACTED:
        return None
    return {**record, "id": payload.get("id") or kwargs.get("litellm_call_id"), "time": payload.get("startTime") or record["time"]}


if "TILTMETER_URL" in os.environ:
    tap = TiltmeterCallback(Sender(os.environ["TILTMETER_URL"], os.environ.get("TILTMETER_TOKEN", "")))
