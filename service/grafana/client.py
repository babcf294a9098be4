"""Grafana's HTTP API through grafana-api: the one place that knows its addresses, and what an answer or its absence means.

grafana-api leaves four things to its users: it does not escape what it puts into a URL, it follows redirects (a POST then becomes a GET),
it throws away the header that says when to come back, and an error page that is no JSON breaks it with a TypeError.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from service.config import Grafana
from service.errors import ConfigError

Answer = TypeVar("Answer")

PAUSE = 1.0
"""Seconds before the first repeat; doubled before each further one."""

LONGEST_PAUSE = 60.0


class Failed(Exception):
    """A request that did not succeed.

    Attributes:
        status: HTTP status, None without an answer.
        again: whether the same request may succeed later.
        after: seconds that Grafana asked to wait, None when it did not.
    """

    def __init__(self, reason: str, *, status: int | None = None, again: bool = False, after: float | None = None) -> None:
        super().__init__(reason)
        self.status, self.again, self.after = status, again, after


@dataclass(frozen=True, slots=True)
class Stored:
    """A dashboard as Grafana has it; ``provisioned``: from a file on its own machine, not to be changed from outside."""

    version: int
    description: str
    folder: str
    provisioned: bool


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation as Grafana has it; milliseconds since the epoch. Of a point ``end`` is ``time``."""

    id: int
    time: int
    end: int


class Client:
    """One Grafana. For one thread.

    Args:
        settings: ``url`` must be set.
        token: of a service account.
        tries: of a request whose failure may pass, with growing pauses.

    Raises ConfigError where grafana-api is not installed.
    """

    def __init__(self, settings: Grafana, token: str, *, tries: int = 1, sleep: Callable[[float], None] = time.sleep) -> None:
        try:
            from grafana_api.grafana_face import GrafanaFace
        except ImportError:
            raise ConfigError("Grafana needs the extra 'grafana' (pip install 'tiltmeter[grafana]')") from None
        assert settings.url is not None
        parts = urlsplit(settings.url)
        prefix = parts.path.strip("/")
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._face = GrafanaFace(
            auth=token,
            host=host,
            port=parts.port,
            url_path_prefix=f"{prefix}/" if prefix else "",
            protocol=parts.scheme,
            timeout=settings.timeout,
        )
        self._face.api.s.max_redirects = 0
        self._face.api.s.hooks["response"].append(self._note)
        self._url, self._tries, self._sleep = settings.url, tries, sleep
        self._status: int | None = None
        self._after: float | None = None

    def close(self) -> None:
        """Close its connections."""
        self._face.api.s.close()

    def folders(self) -> dict[str, str]:
        """Title -> uid of the folders at the top that the token may see, at most 1,000."""
        return self._ask(lambda: {str(row["title"]): str(row["uid"]) for row in self._face.folder.get_all_folders()})

    def folder(self, uid: str) -> str | None:
        """Title of a folder; None where there is none."""
        return self._found(lambda: str(self._face.folder.get_folder(quote(uid, safe=""))["title"]))

    def create_folder(self, title: str, uid: str | None) -> str:
        """Make a folder at the top; its uid. 409 or 412: title or uid are taken."""
        return self._ask(lambda: str(self._face.folder.create_folder(title, uid)["uid"]))

    def dashboard(self, uid: str) -> Stored | None:
        """A dashboard; None where there is none."""
        return self._found(lambda: _stored(self._face.dashboard.get_dashboard(quote(uid, safe=""))))

    def save(self, dashboard: dict[str, Any], folder: str, message: str) -> int:
        """Write a dashboard over the version that it names; its new version. 412: Grafana has another one by now."""
        body = {"dashboard": dashboard, "folderUid": folder, "overwrite": False, "message": message}
        return self._ask(lambda: int(self._face.dashboard.update_dashboard(body)["version"]))

    def annotations(self, tag: str) -> list[Annotation]:
        """Annotations with this tag, oldest first."""
        asked = [quote(tag, safe="")]
        found = self._ask(lambda: [_annotation(row) for row in self._face.annotations.get_annotation(tags=asked)])
        return sorted(found, key=lambda each: each.id)

    def annotate(self, time: int, end: int | None, text: str, tags: Sequence[str]) -> None:
        """Make an annotation of the organisation: any dashboard may show it, by its tags."""
        self._ask(lambda: self._face.annotations.add_annotation(time_from=time, time_to=end, tags=list(tags), text=text))

    def change(self, id_: int, time: int, end: int | None, text: str, tags: Sequence[str]) -> None:
        """Change an annotation."""
        self._ask(lambda: self._face.annotations.partial_update_annotation(id_, time_from=time, time_to=end, tags=list(tags), text=text))

    def remove(self, id_: int) -> None:
        """Delete an annotation; one that is gone already is no failure."""
        self._found(lambda: self._face.annotations.delete_annotations_by_id(id_))

    def _note(self, response: Any, *_: Any, **__: Any) -> None:
        """What grafana-api does not hand on."""
        self._status = response.status_code
        said = response.headers.get("Retry-After", "")
        self._after = min(float(said), LONGEST_PAUSE) if said.isdigit() else None

    def _found(self, request: Callable[[], Answer]) -> Answer | None:
        try:
            return self._ask(request)
        except Failed as failed:
            if failed.status == 404:
                return None
            raise

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        pause = PAUSE
        for left in range(self._tries - 1, -1, -1):
            try:
                return self._once(request)
            except Failed as failed:
                if not failed.again or not left:
                    raise
                self._sleep(failed.after or pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError("at least one try")

    def _once(self, request: Callable[[], Answer]) -> Answer:
        """One request; whatever can go wrong is a :class:`Failed`. No reason holds the token, nor more of an answer than its message."""
        from grafana_api.grafana_api import GrafanaException
        from requests.exceptions import InvalidURL, JSONDecodeError, RequestException, SSLError, TooManyRedirects

        self._status = self._after = None
        try:
            return request()
        except GrafanaException as error:
            status = int(error.status_code)
            raise Failed(_words(status, error.response), status=status, again=_passes(status), after=self._after) from None
        except (
            TypeError,
            KeyError,
            AttributeError,
            JSONDecodeError,
        ):  # an error page, or JSON of something else
            status = self._status or 0
            raise Failed(f"{status}: no answer of Grafana's API", status=self._status, again=_passes(status)) from None
        except TooManyRedirects:
            raise Failed(f"{self._status}: it sends us elsewhere; give the address that it sends to", status=self._status) from None
        except InvalidURL:
            raise Failed("no address that can be called") from None
        except RequestException as error:
            # Without its text, which repeats the address and names objects in memory.
            raise Failed(f"no answer ({type(error).__name__})", again=not isinstance(error, SSLError)) from None


def _stored(answer: Any) -> Stored:
    board, meta = answer["dashboard"], answer["meta"]
    return Stored(
        version=int(board.get("version") or meta.get("version") or 0),
        description=str(board.get("description") or ""),
        folder=str(meta.get("folderUid") or ""),
        provisioned=bool(meta.get("provisioned")),
    )


def _annotation(row: Any) -> Annotation:
    return Annotation(int(row["id"]), int(row["time"]), int(row.get("timeEnd") or row["time"]))


def _passes(status: int) -> bool:
    return status in (408, 425, 429) or status >= 500


def _words(status: int, response: Any) -> str:
    said = response.get("message") if isinstance(response, dict) else None
    return f"{status}: {' '.join(str(said).split())[:200]}" if said else f"{status}"
