"""A local server that behaves as Grafana's documented HTTP API does: folders, dashboards, annotations, and what goes wrong with them.

Its rules are those of Grafana's documentation and source: a save names the version that it replaces or is answered with 412; tags are split
at the colon and searched by summing matches; a PATCH leaves alone what is absent, null or 0.
``python tests/grafana_server.py PORT`` runs it.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "glsa_only-for-tests"


@dataclass
class Fault:
    """What happens instead of an answer: ``lost`` does the work and closes the connection, ``seconds`` waits first."""

    status: int = 0
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    seconds: float = 0.0


class Grafana:
    """Its state. ``faults``: the next requests to ``method`` and path prefix go wrong so; ``forbidden``: rights that the token lacks."""

    def __init__(self) -> None:
        self.token = TOKEN
        self.prefix = ""
        self.folders: dict[str, str] = {}
        self.boards: dict[str, dict[str, Any]] = {}
        self.notes: dict[int, dict[str, Any]] = {}
        self.faults: list[tuple[str, str, Fault]] = []
        self.forbidden: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.provisioned: set[str] = set()
        self._next = 1
        self._lock = threading.Lock()

    def wrote(self) -> list[tuple[str, str]]:
        """Requests that were no GET."""
        return [request for request in self.requests if request[0] != "GET"]

    def by_hand(self, uid: str, **changes: Any) -> None:
        """Somebody saves a dashboard in the browser."""
        board = self.boards[uid]["model"]
        board.update(changes, version=board["version"] + 1)

    def answer(self, method: str, path: str, token: str | None, body: Any) -> tuple[int, Any]:
        """One request, without its faults."""
        place = urlsplit(path)
        if not place.path.startswith(f"{self.prefix}/api/"):
            return 404, "<html>not here</html>"
        parts = [unquote(part) for part in place.path.removeprefix(f"{self.prefix}/api/").split("/")]
        if token != f"Bearer {self.token}":
            return 401, {"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}
        with self._lock:
            if parts[0] == "folders":
                return self._folders(method, parts[1:], body)
            if parts[:2] == ["dashboards", "uid"]:
                return self._board(parts[2])
            if parts == ["dashboards", "db"]:
                return self._save(body)
            if parts[0] == "annotations":
                return self._annotations(method, parts[1:], parse_qs(place.query), body)
        return 404, {"message": "Not found"}

    def _denied(self, right: str) -> tuple[int, Any] | None:
        if right not in self.forbidden:
            return None
        said = f"You'll need additional permissions to perform this action. Permissions needed: {right}"
        return 403, {"accessErrorId": "ACE0000000001", "message": said, "title": "Access denied"}

    def _folders(self, method: str, rest: list[str], body: Any) -> tuple[int, Any]:
        if method == "GET" and not rest:
            return 200, [{"id": 1, "uid": uid, "title": title} for uid, title in self.folders.items()]
        if method == "GET":
            there = self.folders.get(rest[0])
            return (200, {"uid": rest[0], "title": there}) if there else (404, {"message": "folder not found", "status": "not-found"})
        if denied := self._denied("folders:create"):
            return denied
        uid = body.get("uid") or f"u{len(self.folders)}"
        if uid in self.folders:
            return 412, {"message": "the folder has been changed by someone else", "status": "version-mismatch"}
        if body["title"] in self.folders.values():
            return 409, {"message": "a folder with the same name already exists in the current location"}
        self.folders[uid] = body["title"]
        return 200, {"uid": uid, "title": body["title"], "version": 1}

    def _board(self, uid: str) -> tuple[int, Any]:
        if uid not in self.boards:
            return 404, {"message": "Dashboard not found"}
        board = self.boards[uid]
        meta = {"folderUid": board["folder"], "provisioned": uid in self.provisioned, "version": board["model"]["version"]}
        return 200, {"dashboard": board["model"], "meta": meta}

    def _save(self, body: Any) -> tuple[int, Any]:
        if denied := self._denied("dashboards:write"):
            return denied
        model, there = dict(body["dashboard"]), self.boards.get(body["dashboard"]["uid"])
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        if model["uid"] in self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        if there and model.get("version") != there["model"]["version"] and not body.get("overwrite"):
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        model["version"] = there["model"]["version"] + 1 if there else 1
        model["id"] = there["model"]["id"] if there else len(self.boards) + 1
        self.boards[model["uid"]] = {"model": model, "folder": body["folderUid"]}
        return 200, {"id": model["id"], "uid": model["uid"], "status": "success", "version": model["version"], "url": f"/d/{model['uid']}"}

    def _annotations(self, method: str, rest: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if method == "GET":
            return 200, [note for note in self.notes.values() if _matches(note["tags"], query.get("tags", []))][
                : int(query.get("limit", ["100"])[0])
            ]
        if denied := self._denied("annotations:write"):
            return denied
        if method == "POST":
            if not body.get("text"):
                return 400, {"message": "Failed to save annotation: text field should not be empty"}
            note = {"id": self._next, "dashboardUID": None, "text": body["text"], "tags": _tags(body["tags"]), "time": body["time"]}
            self.notes[self._next] = {**note, "timeEnd": body.get("timeEnd") or body["time"]}
            self._next += 1
            return 200, {"message": "Annotation added", "id": note["id"]}
        note = self.notes.get(int(rest[0]), {})
        if not note:
            return 404, {"message": "Could not find annotation to update"}
        if method == "DELETE":
            del self.notes[int(rest[0])]
            return 200, {"message": "Annotation deleted"}
        note.update({name: body[name] for name in ("time", "timeEnd", "text") if body.get(name)})
        if body.get("tags") is not None:
            note["tags"] = _tags(body["tags"])
        return 200, {"message": "Annotation patched"}


def _pairs(tags: list[str]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((key.strip(), value.strip()) for key, _, value in (tag.partition(":") for tag in tags)))


def _tags(tags: list[str]) -> list[str]:
    assert all(len(part) <= 100 for pair in _pairs(tags) for part in pair), "longer than Grafana's column"
    return [f"{key}:{value}" if value else key for key, value in _pairs(tags)]


def _matches(tags: list[str], asked: list[str]) -> bool:
    """As Grafana's SQL: the number of rows that match any filter must be the number of filters."""
    wanted = _pairs(asked)
    return not wanted or sum(key == k and (not v or value == v) for key, value in _pairs(tags) for k, v in wanted) == len(wanted)


@contextmanager
def serving(port: int = 0) -> Iterator[tuple[Grafana, str]]:
    """A running server: its state, and its address."""
    state = Grafana()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"null")
            state.requests.append((self.command, self.path))
            found = next((f for f in state.faults if f[0] in (self.command, "*") and f[1] in self.path), None)
            fault = found[2] if found else Fault()
            if found:
                state.faults.remove(found)
            time.sleep(fault.seconds)
            if fault.status:
                return self._reply(fault.status, fault.body, fault.headers)
            status, answer = state.answer(self.command, self.path, self.headers.get("Authorization"), body)
            if fault.lost:
                self.close_connection = True
                return None
            return self._reply(status, answer if isinstance(answer, str) else json.dumps(answer), {})

        def _reply(self, status: int, text: str, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text.encode())), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:  # a client that did not wait
            pass

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with serving(int(sys.argv[1])) as (_, address):
        print(address, TOKEN, flush=True)
        threading.Event().wait()
