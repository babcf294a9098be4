"""Secrets: read from the environment or from a file, never from the configuration, never printed."""

import os
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from service.config.probing import Endpoint, Probes
from service.config.settings import Config, Grafana, Http, Kafka, SqlLedger
from service.errors import ConfigError

KAFKA_PASSWORD = "TILTMETER_KAFKA_PASSWORD"
KAFKA_KEY_PASSWORD = "TILTMETER_KAFKA_KEY_PASSWORD"
LEDGER_PASSWORD = "TILTMETER_LEDGER_PASSWORD"
STORE_PASSWORD = "TILTMETER_STORE_PASSWORD"
TOKEN = "TILTMETER_TOKEN"
CANARY_KEY = "TILTMETER_CANARY_KEY"
GRAFANA_TOKEN = "TILTMETER_GRAFANA_TOKEN"

_SHORTEST_KEY = 16

MASK = "********"

_SECRET_NAMES = "password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|jaas[._]config"
_SECRET_KEY = re.compile(rf"(^|[._-])({_SECRET_NAMES})$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<before>^[\w+.-]+://[^/@:]*:)(?P<secret>[^@]+)(?P<after>@)")
_QUERY_PASSWORD = re.compile(r"(?P<before>[?&;](?:password|passwd|secret|token)=)(?P<secret>[^&;]+)(?P<after>)", re.IGNORECASE)


def is_secret_key(key: str) -> bool:
    """Whether a key of this name holds a secret; ``password_file`` and ``token_file`` do not."""
    return _SECRET_KEY.search(key) is not None


def masked(value: str) -> str:
    """A URL with its password blotted out; other text as it is."""
    for pattern in (_URL_PASSWORD, _QUERY_PASSWORD):
        value = pattern.sub(rf"\g<before>{MASK}\g<after>", value)
    return value


def find_secrets(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Key paths of values that look like secrets: keys named like one, URLs that carry a password."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            here = (*path, str(key))
            if is_secret_key(str(key)) and isinstance(value, str | int | float) and value != "":
                yield here
            else:
                yield from find_secrets(value, here)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from find_secrets(value, (*path, str(index)))
    elif isinstance(data, str) and masked(data) != data:
        yield path


def _read(name: str, file: Path | None, environ: Mapping[str, str]) -> str | None:
    """The secret from its file if one is named, else from the environment; None when neither is there."""
    if file is None:
        return environ.get(name) or None
    try:
        secret = file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{file}: the file that should hold {name} cannot be read: {reason}") from None
    if not secret:
        raise ConfigError(f"{file}: the file that should hold {name} is empty")
    return secret


def kafka_options(settings: Kafka, environ: Mapping[str, str] | None = None, known: Container[str] | None = None) -> dict[str, Any]:
    """Connection options of kafka-python for a source or ledger: servers, what the file passes through, and the passwords.

    ``known``: names that the client to be opened understands (its ``DEFAULT_CONFIG``); options that are for another kind of client
    are then left out. Raises ConfigError when SASL needs a password and there is none.
    """
    environ = os.environ if environ is None else environ
    options = {key.replace(".", "_"): value for key, value in settings.options.items()}
    options["bootstrap_servers"] = [server.strip() for server in settings.bootstrap_servers.split(",") if server.strip()]
    password = _read(KAFKA_PASSWORD, settings.password_file, environ)
    if password is not None:
        options["sasl_plain_password"] = password
    elif options.get("sasl_mechanism", "") in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        raise ConfigError(f"kafka: sasl_mechanism {options['sasl_mechanism']} needs a password: set {KAFKA_PASSWORD} or password_file")
    if key_password := environ.get(KAFKA_KEY_PASSWORD):
        options["ssl_password"] = key_password
    return options if known is None else {key: value for key, value in options.items() if key in known}


def _with_password(url: str, password: str | None) -> str:
    if password is None:
        return url
    from sqlalchemy import make_url  # takes 0.2 s to import

    return make_url(url).set(password=password).render_as_string(hide_password=False)


def database_url(settings: SqlLedger, environ: Mapping[str, str] | None = None) -> str:
    """SQLAlchemy URL of the ledger, with its password where there is one. Not to be logged: see :func:`masked`."""
    environ = os.environ if environ is None else environ
    return _with_password(settings.url, _read(LEDGER_PASSWORD, settings.password_file, environ))


def store_url(config: Config, environ: Mapping[str, str] | None = None) -> str:
    """SQLAlchemy URL of the history, with its password where there is one. Not to be logged: see :func:`masked`."""
    environ = os.environ if environ is None else environ
    return _with_password(config.store, _read(STORE_PASSWORD, None, environ))


def bearer_token(settings: Http, environ: Mapping[str, str] | None = None) -> str | None:
    """Token that everything that writes must present; None when none is set."""
    return _read(TOKEN, settings.token_file, os.environ if environ is None else environ)


def grafana_token(settings: Grafana, environ: Mapping[str, str] | None = None) -> str:
    """Token of Grafana's service account. Raises ConfigError where there is none, or none that a header can carry."""
    token = _read(GRAFANA_TOKEN, settings.token_file, os.environ if environ is None else environ)
    if token is None:
        raise ConfigError(f"grafana: expected the token of a service account: set {GRAFANA_TOKEN} or grafana.token_file")
    return _for_a_header("grafana", token, settings.token_file or GRAFANA_TOKEN)


def _for_a_header(name: str, secret: str, where: Path | str) -> str:
    if not secret.isascii() or not secret.isprintable():
        raise ConfigError(f"{name}: {where} holds what no HTTP header can carry: expected one line of printable ASCII")
    return secret


def api_key(name: str, settings: Endpoint, environ: Mapping[str, str] | None = None) -> str | None:
    """Key of a target or judge; None when the configuration names none.

    ``name``: for the message, such as ``targets.live``. Raises ConfigError when the variable or file that it names holds nothing usable.
    """
    if settings.key_env is None and settings.key_file is None:
        return None
    variable = settings.key_env or f"the key of {name}"
    key = _read(variable, settings.key_file, os.environ if environ is None else environ)
    if key is None:
        raise ConfigError(f"{name}: key_env names {variable}, and that variable is not set")
    return _for_a_header(name, key, settings.key_file or variable)


def canary_key(settings: Probes, environ: Mapping[str, str] | None = None) -> bytes | None:
    """Secret that signs canaries; None when none is set. Raises ConfigError for one that can be guessed."""
    key = _read(CANARY_KEY, settings.tag_key_file, os.environ if environ is None else environ)
    if key is None:
        return None
    if len(key.encode()) < _SHORTEST_KEY:
        raise ConfigError(
            f"probes: the key that signs canaries ({settings.tag_key_file or CANARY_KEY}): expected at least {_SHORTEST_KEY} bytes"
        )
    return key.encode()
