"""Where suites that attack may be sent: only to hosts that the configuration names, and only where it says that it means to."""

from urllib.parse import urlsplit

from service.config import Endpoint, Probes


def attack_allowed(target: Endpoint, settings: Probes) -> str | None:
    """Why adversarial, injection and safety suites may not be sent to this target; None when they may.

    A host on the list is compared whole and without regard to case; ``host:port`` allows one port of it only.
    """
    if not settings.acknowledge_attacks:
        return "probes.acknowledge_attacks is not set"
    parts = urlsplit(target.url)
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    allowed = {entry.strip().lower() for entry in settings.allowed_hosts}
    if not host or not allowed & {host, f"{host}:{port}", f"[{host}]", f"[{host}]:{port}"}:
        return f"host {host or '(none)'} is not in probes.allowed_hosts"
    return None
