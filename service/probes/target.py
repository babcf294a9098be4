"""An endpoint that is asked: one call in, one reply out, whatever happens in between."""

import asyncio
import math
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import blake2b, sha256
from typing import Any

import httpx

from service.config import Endpoint
from service.metrics import VERSION
from service.probes.budget import Budget, Cost
from service.probes.capabilities import SALTED, find_out
from service.probes.exchange import Attempt, Exchange
from service.probes.forms import Capabilities, form_of
from service.probes.forms.contract import rows, text
from service.probes.pacing import Pace
from service.probes.tags import HEADER, SYNTHETIC
from service.records.probes import Call, Message, Reply

RETRIES = 2
"""After the first attempt, and only where nothing of an answer was seen: connecting, resets, 408, 429, 5xx. Never a bad grade."""

_LONGEST_WAIT = 60.0
"""Seconds of Retry-After that one call waits for; for longer ones it gives up, and the target rests."""

_POOL = 64
"""Requests at once of one HTTP client: its pool looks at every connection for every request, which at a thousand takes seconds."""

_FIRST_JITTER = 1.0
_FASTER_THAN_A_MODEL = 0.02
_REMEMBERED = 10_000
_UNBILLED = frozenset(("connect", "timeout_connect", "rate_limited", "client", "budget"))
_TURN_TOKENS = 16
"""Tokens that a chat template adds to each turn, at most."""


class TargetClient:
    """Asks one target. Safe for many calls at once on one event loop; close it with :meth:`aclose`.

    Args:
        name: of the target in the configuration.
        settings: where it is and how it is asked.
        key: API key, or None.
        budget: what it may cost; None builds one of the settings. pace: how fast; likewise.
        transport: in place of the network, for tests.
        sleep: waits between attempts. draw: uniform number from 0 to 1, for jitter.

    Attributes:
        capabilities: everything until :meth:`probe_capabilities` was asked.
    """

    def __init__(
        self,
        name: str,
        settings: Endpoint,
        *,
        key: str | None = None,
        budget: Budget | None = None,
        pace: Pace | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.name, self.settings = name, settings
        self.budget = budget or Budget(settings.daily)
        self.pace = pace or Pace(settings.rate)
        self._sleep, self._draw = sleep, draw
        self._form = form_of(settings)
        self.capabilities = Capabilities(stream=settings.stream and self._form.streams, model=settings.model)
        headers = {"User-Agent": f"tiltmeter/{VERSION}", "Accept-Encoding": "identity", **SYNTHETIC, **settings.headers}
        if key is not None:
            headers[settings.key_header] = f"Bearer {key}" if settings.key_header.lower() == "authorization" else key
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=_POOL)
        # Our own deadlines hold over slow drips; those of the client are for each read.
        timeout = httpx.Timeout(None, connect=settings.timeouts.connect)
        verify = httpx.create_ssl_context()
        self._clients = [
            httpx.AsyncClient(headers=headers, limits=limits, timeout=timeout, verify=verify, transport=transport)
            for _ in range(math.ceil(settings.rate.concurrency / _POOL))
        ]
        self._exchange = Exchange(self._clients, self._form, settings.timeouts)
        self._url = _under(settings.url, self._form.path)
        self._finding, self._known = asyncio.Lock(), False
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.aclose()

    async def ask(self, call: Call, tag: str = "") -> Reply:
        """What the target answers.

        Every failure is a reply with ``error``; only CancelledError is raised. At most three requests, each counted by the budget; the
        reply's times are of the last one. Token counts that the endpoint does not report are estimated at four bytes each.

        Args:
            call: what is sent; a ``salt`` misses every cache, in ``cache_salt`` where the endpoint takes it, else as ``(ref ...)`` at
                the end of the system prompt or of the last user turn; not in the text of calls that ask for log probabilities.
            tag: signed tag (service/probes/tags.py) for the header, and the field ``user`` where there is one.
        """
        can = await self._with_model(self.capabilities)
        last: Attempt | None = None
        for attempts in range(1, RETRIES + 2):
            attempt = await self._send(call, can, tag)
            if attempt.error == "budget":
                return Reply(error="budget", attempts=0) if last is None else self._reply(call, last, attempts - 1)
            last = attempt
            if not attempt.again or attempts > RETRIES or (attempt.wait or 0.0) > _LONGEST_WAIT:
                break
            await self._sleep((attempt.wait or 0.0) + self._draw() * _FIRST_JITTER * 2 ** (attempts - 1))
        assert last is not None
        return self._reply(call, last, attempts)

    async def probe_capabilities(self, tag: str = "") -> Capabilities:
        """Ask what the endpoint can do, keep it for every later call, and return it. Costs three small requests, or a few more.

        An endpoint that does not answer has ``reached`` False and a ``reason``; nothing is raised.
        """
        start = Capabilities(stream=self.settings.stream and self._form.streams, model=self.settings.model)
        if not self._form.streams:
            start = replace(start, logprobs=False, seed=False, usage=False, json_schema=False, tools=False, user=False)
        else:
            models, owners = await self._listed()
            model = self.settings.model or (models[0] if models else "")
            start = replace(start, model=model, models=models, salt=bool(owners & SALTED))
        # Whoever asks meanwhile knows the model already.
        self.capabilities = start

        async def send(call: Call, can: Capabilities) -> Attempt:
            return await self._send(call, can, tag)

        self.capabilities = await find_out(send, start, chat=self.settings.api == "chat")
        return self.capabilities

    async def _with_model(self, can: Capabilities) -> Capabilities:
        """The same with a model's id: the first one that the endpoint lists, where the configuration names none."""
        if self._known or can.model or not self._form.streams:
            return can
        async with self._finding:
            if not self._known:
                models, _ = await self._listed()
                self.capabilities = replace(self.capabilities, model=models[0] if models else "", models=models)
            return self.capabilities

    async def _listed(self) -> tuple[tuple[str, ...], frozenset[str]]:
        """Ids of the models that the endpoint lists, and who it says owns them; it costs nothing and is counted nowhere."""
        try:
            async with asyncio.timeout(self.settings.timeouts.first_token):
                response = await self._clients[0].get(_under(self.settings.url, "/models"))
                listed = rows(response.json().get("data")) if response.status_code == 200 else []
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, AttributeError, RecursionError):
            return (), frozenset()
        self._known = True
        models = tuple(name for row in listed if (name := text(row.get("id"))))
        return models, frozenset(text(row.get("owned_by")).lower() for row in listed)

    async def _send(self, call: Call, can: Capabilities, tag: str) -> Attempt:
        """One request by rate and budget."""
        estimate = self._bound(call)
        async with self.pace.turn():
            if not self.budget.reserve(estimate):
                return Attempt(error="budget")
            actual = estimate
            try:
                attempt = await self._exchange.post(self._url, *self._request(call, can, tag))
                actual = self._cost(call, attempt)
            finally:
                self.budget.settle(estimate, actual)
        if attempt.status == 429 or (attempt.status == 503 and attempt.wait is not None):
            self.pace.step_back(attempt.wait)
        elif attempt.error is None:
            self.pace.answered(attempt.seconds)
        return attempt

    def _request(self, call: Call, can: Capabilities, tag: str) -> tuple[Any, dict[str, str]]:
        """Body and headers."""
        headers = {HEADER: tag} if tag else {}
        if call.salt:
            headers["Cache-Control"] = "no-cache"
            if not can.salt and not call.logprobs:
                call = _salted(call, system=self._form.streams)
        return self._form.body(call, can, tag), headers

    def _bound(self, call: Call) -> Cost:
        """What a request costs at most: a token has at least one byte."""
        sent = _bytes(call) + _TURN_TOKENS * (len(call.messages) + 1)
        return Cost(1, sent + call.max_tokens, self._money(sent, call.max_tokens))

    def _cost(self, call: Call, attempt: Attempt) -> Cost:
        """What it did cost: tokens only of a request that the model may have worked on."""
        if attempt.error in _UNBILLED or attempt.filtered or (attempt.status or 0) >= 300:
            return Cost(1)
        sent, got = _tokens(call, attempt)
        return Cost(1, sent + got, self._money(sent, got))

    def _money(self, sent: int, got: int) -> float:
        return (sent * self.settings.price.input + got * self.settings.price.output) / 1e6

    def _reply(self, call: Call, attempt: Attempt, attempts: int) -> Reply:
        answer = attempt.answer
        billed = self._cost(call, attempt)
        sent, got = _tokens(call, attempt) if billed.tokens else (0, 0)
        return Reply(
            text=answer.text if attempt.error is None else "",
            refusal=answer.refusal if attempt.error is None else None,
            finish=answer.finish,
            tool_calls=answer.tool_calls if attempt.error is None else (),
            error=attempt.error,
            status=attempt.status,
            attempts=attempts,
            first_token=attempt.first,
            seconds=attempt.seconds,
            model=answer.model,
            fingerprint=answer.fingerprint,
            tokens_in=sent,
            tokens_out=got,
            tokens_cached=answer.tokens_cached,
            cost=billed.money,
            logprobs=answer.logprobs if attempt.error is None else (),
            suspect_cached=attempt.error is None and self._suspect(call, attempt),
        )

    def _suspect(self, call: Call, attempt: Attempt) -> bool:
        """The endpoint says that it was cached; or the same answer as last time to the same question, faster than a model can."""
        question = blake2b(repr((call.messages, call.tools, call.schema)).encode(errors="replace"), digest_size=16).digest()
        answer = blake2b(attempt.answer.text.encode(errors="replace"), digest_size=16).digest()
        same = self._answers.pop(question, None) == answer
        self._answers[question] = answer
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return attempt.answer.tokens_cached > 0 or (same and attempt.seconds < _FASTER_THAN_A_MODEL)


def _under(base: str, path: str) -> httpx.URL:
    """The URL of a path under the base, whose query stays."""
    url = httpx.URL(base)
    return url.copy_with(path=url.path.rstrip("/") + path) if path else url


def _salted(call: Call, system: bool) -> Call:
    """The call with its salt at a neutral place: the end of the system prompt, or of the last user turn where there is none."""
    mark = f"(ref {sha256(call.salt.encode()).hexdigest()[:8]})"
    roles = [message.role for message in call.messages]
    if system and "system" in roles:
        at = roles.index("system")
    elif "user" in roles:
        at = len(roles) - 1 - roles[::-1].index("user")
    else:
        return call
    said = call.messages[at]
    return replace(call, messages=(*call.messages[:at], Message(said.role, f"{said.content}\n\n{mark}"), *call.messages[at + 1 :]))


def _bytes(call: Call) -> int:
    size = sum(len(message.content.encode(errors="replace")) for message in call.messages)
    return size + len(repr(call.tools).encode(errors="replace")) * bool(call.tools) + len(repr(call.schema or ""))


def _tokens(call: Call, attempt: Attempt) -> tuple[int, int]:
    """Sent and answered: as reported, else at four bytes a token."""
    answer = attempt.answer
    sent = math.ceil(_bytes(call) / 4) if answer.tokens_in is None else answer.tokens_in
    got = math.ceil(len(answer.text.encode(errors="replace")) / 4) if answer.tokens_out is None else answer.tokens_out
    return sent, got
