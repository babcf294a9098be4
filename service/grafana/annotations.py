"""Marks on every plot: what happened, sent to Grafana as annotations, each once.

What should be there is said again and again (:meth:`Annotator.want`); what is not known to be there is looked up by the tag that holds its
identity, and made or changed only then. So a restart, a fail-over and an hour without Grafana all end in the same marks.
"""

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.errors import TiltmeterError
from service.grafana.client import LONGEST_PAUSE, PAUSE, Client, Failed
from service.logging import fields
from service.metrics import AnnotationReading

_log = logging.getLogger(__name__)

WAITING = 500
"""Marks that wait at most; the oldest is dropped for a newer one."""

REMEMBERED = 5_000
"""Marks known to be there; an older one is looked up again if it is still wanted."""

TAG = "tiltmeter"

_PLAIN = re.compile(r"[\w.@/+-]{1,90}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, or a period.

    Attributes:
        id: the same after a restart and on every replica.
        what: incident, deployment, baseline or bundle.
        time: seconds since the epoch; end: of a period that is over.
        tags: further ones, key:value, at most a hundred characters each.
        make: False: end it where it is, but make no new one.
    """

    id: str
    what: str
    time: float
    text: str
    end: float | None = None
    tags: tuple[str, ...] = ()
    make: bool = True

    @property
    def key(self) -> str:
        """The tag that finds it. Grafana splits tags at the colon and holds 100 characters on each side."""
        plain = self.id if _PLAIN.fullmatch(self.id) else hashlib.sha256(self.id.encode()).hexdigest()[:32]
        return f"tiltmeter_id:{plain}"

    @property
    def all_tags(self) -> tuple[str, ...]:
        """Every tag. No two with the same key, or Grafana's search by key counts one annotation twice and finds none."""
        return TAG, self.what, *self.tags, self.key


class Annotator:
    """Sends marks, one a :meth:`step`. For one thread; ``counts`` may be read by any.

    ``connect`` gives a new client: the first time, and after a refused token, which may have been replaced since.
    """

    def __init__(self, connect: Callable[[], Client], clock: Callable[[], float]) -> None:
        self._connect, self._clock = connect, clock
        self._client: Client | None = None
        self._waiting: OrderedDict[str, Mark] = OrderedDict()
        self._there: OrderedDict[str, Mark] = OrderedDict()
        self._pause, self._due = PAUSE, -float("inf")
        self._away = False
        self.counts = AnnotationReading()

    def want(self, marks: Iterable[Mark]) -> None:
        """These should be there. Queues what is new, and what has ended since; the text of an open one stays as it was at its opening."""
        for mark in marks:
            known = self._waiting.get(mark.id) or self._there.get(mark.id)
            if known is not None and known.end == mark.end:
                continue
            self._waiting[mark.id] = mark
            if len(self._waiting) > WAITING:
                gone, given_up = self._waiting.popitem(last=False)
                self._remember(gone, given_up)
                self._count(dropped=1)
        self._count()

    def forget(self) -> None:
        """Another process decides now: what waits is its to send, and what is there must be looked up again."""
        self._waiting.clear()
        self._there.clear()
        self._count()

    def step(self) -> None:
        """Send the oldest that waits, if there is one and no pause is due. Never raises."""
        if not self._waiting or self._clock() < self._due:
            return
        id_, mark = next(iter(self._waiting.items()))
        try:
            if self._client is None:
                self._client = self._connect()
            self._put(self._client, mark)
        except Exception as error:  # whatever it is, deciding goes on
            self._fail(id_, mark, error)
            return
        self._count(sent=1)
        self._done(id_, mark)
        if self._away:
            _log.info("annotations are sent again")
        self._away, self._pause, self._due = False, PAUSE, -float("inf")

    def _put(self, client: Client, mark: Mark) -> None:
        """Look it up, make it where it is not, end it where it has ended. After a creation look again: two may have made it."""
        begin, end = round(1000 * mark.time), None if mark.end is None else round(1000 * mark.end)
        found = client.annotations(mark.key)
        if not found and mark.make:
            client.annotate(begin, end, mark.text, mark.all_tags)
            found = client.annotations(mark.key)
        for twin in found[1:]:
            client.remove(twin.id)
        if found and end is not None and found[0].end != end:
            client.change(found[0].id, begin, end, mark.text, mark.all_tags)

    def _fail(self, id_: str, mark: Mark, error: Exception) -> None:
        status, again = (error.status, error.again) if isinstance(error, Failed) else (None, True)
        if status in (401, 403) and self._client is not None:
            self._client.close()
            self._client = None
        if again or status in (401, 403, 404):  # 404: the address is wrong, not the mark
            if status is not None and status >= 500:
                self._waiting.move_to_end(id_)  # should it be this one that Grafana cannot stomach, the others get their turn
            self._due = self._clock() + ((error.after if isinstance(error, Failed) else None) or self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._count(failures=1)
        else:
            self._done(id_, mark)
            self._count(failures=1, dropped=1)
        if not self._away:
            reason = str(error) if isinstance(error, Failed | TiltmeterError) else type(error).__name__
            _log.warning("annotations cannot be sent, trying again", extra=fields(reason=reason, waiting=len(self._waiting)))
        self._away = True

    def _done(self, id_: str, mark: Mark) -> None:
        del self._waiting[id_]
        self._remember(id_, mark)
        self._count()

    def _remember(self, id_: str, mark: Mark) -> None:
        self._there[id_] = mark
        self._there.move_to_end(id_)
        while len(self._there) > REMEMBERED:
            self._there.popitem(last=False)

    def _count(self, sent: int = 0, failures: int = 0, dropped: int = 0) -> None:
        had = self.counts
        self.counts = AnnotationReading(had.sent + sent, had.failures + failures, had.dropped + dropped, len(self._waiting))
