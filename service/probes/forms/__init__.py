"""The forms of endpoints that can be probed."""

from service.config import Endpoint
from service.probes.forms.chat import Chat
from service.probes.forms.completions import Completions
from service.probes.forms.contract import Answer, Capabilities, Form, Reader
from service.probes.forms.rest import RestForm

__all__ = ["Answer", "Capabilities", "Form", "Reader", "form_of"]


def form_of(settings: Endpoint) -> Form:
    """The form that the configuration names."""
    if settings.rest is not None:
        return RestForm(settings.rest)
    return Completions() if settings.api == "completions" else Chat()
