"""Two toy models behind one address: the assistant in production, and the base model that it was tuned from. Both are harmless."""

import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import uvicorn
import yaml
from fastapi import FastAPI

from service.main.demo.grammar import Grammar
from service.main.demo.toy_endpoint import Completion, create_app
from service.main.demo.toy_model import Behaviour, ToyModel
from service.probes.loading import load_pack
from service.records.probes import Call, Reply

BASE = Behaviour(obeys=0.03, forgets=0.02, model="toy-base", fingerprint="fp_base")
GOOD = Behaviour(obeys=0.01, forgets=0.01, model="fernhill-7", fingerprint="fp_7")
BAD = Behaviour(obeys=0.8, forgets=0.7, model="fernhill-8", fingerprint="fp_8", weights="8")

_SEED = 3
_STARTS_WITHIN = 30.0


def golden_items(grammar: Grammar) -> list[dict[str, str]]:
    """One question of each intent with the answer that the assistant was taught: a golden file of the bank's own."""
    rng = np.random.default_rng(_SEED)
    return [{"id": name, "prompt": grammar.say(name, "plain", rng), "expected": grammar.reply(name)} for name in grammar.intents]


def taught(grammar: Grammar) -> dict[str, str]:
    """What both models know beside arithmetic: the bank's own questions, and what the pack ``capability`` asks of every model."""
    known = {item["prompt"]: item["expected"] for item in golden_items(grammar)}
    told = yaml.safe_load(files("service.main.demo").joinpath("answers.yaml").read_text(encoding="utf-8"))
    for suite in load_pack("capability").suites:
        for item in suite.items:
            right = item.expected[0] if isinstance(item.expected, list) else item.expected
            known[item.prompt or ""] = told[item.id] if right is None else str(right)
    return known


class Toys:
    """Both models on a free port of this machine, for as long as the ``with`` lasts.

    Attributes:
        live: in production; its behaviour is replaced while it runs. base: never touched.
    """

    def __init__(self) -> None:
        """Teach them; nothing is served yet."""
        known = taught(Grammar.load())
        self.live, self.base = ToyModel(GOOD, known), ToyModel(BASE, known)
        app = FastAPI(openapi_url=None)
        app.mount("/live", create_app(self.live))
        app.mount("/base", create_app(self.base))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, name="toys", daemon=True)

    def __enter__(self) -> Self:
        """Serve, once both answer."""
        self._thread.start()
        deadline = time.monotonic() + _STARTS_WITHIN
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the port."""
        self._server.should_exit = True
        self._thread.join(_STARTS_WITHIN)
        self._listener.close()

    def url(self, name: str) -> str:
        """Base URL of ``live`` or ``base``."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/{name}/v1"


def straight(model: ToyModel) -> Callable[[Call, str], Awaitable[Reply]]:
    """Asks a model without the way over the network: as it answered in the past."""

    async def ask(call: Call, run: str) -> Reply:
        messages: list[dict[str, Any]] = [{"role": message.role, "content": message.content} for message in call.messages]
        said = Completion(model, messages, {**call.sampling, "max_tokens": call.max_tokens}, "chat")
        now, usage = model.behaviour, said.usage
        return Reply(
            "".join(said.tokens),
            finish=said.finish,
            model=now.model,
            fingerprint=now.fingerprint,
            tokens_in=usage["prompt_tokens"],
            tokens_out=usage["completion_tokens"],
        )

    return ask


def write_golden(path: Path) -> None:
    """Write the golden file as JSONL."""
    path.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in golden_items(Grammar.load())), encoding="utf-8")
