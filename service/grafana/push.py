"""Folder and dashboards, so often as one likes: what is as it should be is left alone, and so is what somebody changed by hand.

What was pushed is written into the dashboard's own description, with the version that Grafana gave it: no state is kept elsewhere, and a
change by hand, which always makes a new version, shows. Every write names the version it replaces, so that none is lost in between.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from service.errors import DataError
from service.grafana.client import Client, Failed, Stored

Did = Literal["created", "updated", "unchanged", "kept", "failed"]

_PUSHED = re.compile(r"\s*Pushed by tiltmeter: content ([0-9a-f]{12}), version (\d+)\.$")


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard of ours, as its file has it; ``content``: digest of it."""

    uid: str
    title: str
    model: dict[str, Any]
    content: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a folder or dashboard, and why where that needs saying."""

    title: str
    did: Did
    why: str = ""


def read(folder: Path) -> list[Board]:
    """The dashboards of a folder. Raises DataError naming the file."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(f"{folder}: expected dashboards, files named *.json")
    return [_board(file) for file in files]


def _board(file: Path) -> Board:
    try:
        model = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        raise DataError(f"{file}: cannot be read: {reason}") from None
    uid, title = (model.get(name) if isinstance(model, dict) else None for name in ("uid", "title"))
    if not isinstance(uid, str) or not isinstance(title, str) or not re.fullmatch(r"[\w-]{1,40}", uid):
        raise DataError(f"{file}: expected a dashboard in Grafana's classic JSON, with a title and a uid of at most 40 letters and digits")
    model = {name: value for name, value in model.items() if name not in ("id", "version")}
    content = hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:12]
    return Board(uid, title, model, content)


def place(client: Client, title: str, *, dry: bool = False) -> tuple[str | None, Outcome]:
    """The folder of this title, made where it is not there; its uid, None where it is only not made. Raises Failed."""
    uid = client.folders().get(title)
    if uid is not None:
        return uid, Outcome(title, "unchanged")
    if dry:
        return None, Outcome(title, "created")
    wanted = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or None
    try:
        return client.create_folder(title, wanted), Outcome(title, "created")
    except Failed as failed:
        if failed.status not in (409, 412):
            raise
        uid = client.folders().get(title)  # a repeated request, or somebody else just now
        if uid is None and wanted is not None and (other := client.folder(wanted)) is not None:
            return wanted, Outcome(title, "unchanged", f"it is called {other!r} in Grafana")
        if uid is None:
            raise
        return uid, Outcome(title, "unchanged")


def push(client: Client, boards: Sequence[Board], folder: str | None, *, overwrite: bool = False, dry: bool = False) -> list[Outcome]:
    """Bring every dashboard to what its file says; one that fails does not keep the others.

    Raises Failed where no other would do better: the token is refused, or nothing answers.

    ``folder``: uid of the folder; None with ``dry`` where it would have to be made.
    """
    outcomes = []
    for board in boards:
        try:
            outcomes.append(_push(client, board, folder, overwrite=overwrite, dry=dry))
        except Failed as failed:
            if failed.status == 401 or failed.status is None:
                raise
            outcomes.append(Outcome(board.title, "failed", str(failed)))
    return outcomes


def _push(client: Client, board: Board, folder: str | None, *, overwrite: bool, dry: bool) -> Outcome:
    stored = client.dashboard(board.uid)
    planned = _plan(board, stored, folder, overwrite=overwrite)
    if dry or planned.did not in ("created", "updated"):
        return planned
    assert folder is not None
    version = stored.version if stored else 0
    expected = version + 1
    try:
        given = client.save(_as_sent(board, version, expected), folder, f"tiltmeter grafana push: content {board.content}")
    except Failed as failed:
        if failed.status != 412:
            raise
        found = client.dashboard(board.uid)
        if found is not None and _pushed(found) == (board.content, found.version):
            return planned  # it was written, and only the answer was lost
        if found is not None and found.version != version:
            return Outcome(board.title, "kept", "somebody saved it at the same moment: push again")
        raise
    if given != expected:
        return Outcome(board.title, planned.did, f"as version {given}, not {expected}: the next push will take it for changed by hand")
    return planned


def _plan(board: Board, stored: Stored | None, folder: str | None, *, overwrite: bool) -> Outcome:
    if stored is None:
        return Outcome(board.title, "created")
    if stored.provisioned:
        return Outcome(board.title, "kept", "provisioned from a file on Grafana's machine, which is the place to change it")
    pushed = _pushed(stored)
    if pushed is None and not overwrite:
        return Outcome(board.title, "kept", "a dashboard with this uid is there that was not pushed; --overwrite replaces it")
    if pushed is not None and pushed[1] != stored.version and not overwrite:
        return Outcome(
            board.title, "kept", f"changed by hand: version {stored.version}, pushed as version {pushed[1]}; --overwrite replaces it"
        )
    if pushed == (board.content, stored.version) and stored.folder == folder:
        return Outcome(board.title, "unchanged")
    return Outcome(board.title, "updated")


def _pushed(stored: Stored) -> tuple[str, int] | None:
    """Content and version of what was pushed; None where nothing was."""
    found = _PUSHED.search(stored.description)
    return (found[1], int(found[2])) if found else None


def _as_sent(board: Board, version: int, expected: int) -> dict[str, Any]:
    described = f"{board.model.get('description') or ''}\n\nPushed by tiltmeter: content {board.content}, version {expected}.".strip()
    return {**board.model, "id": None, "version": version, "description": described}
