"""The nouns of canary probing: what is asked, what came back, how it was graded, and what a round of it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal[
    "golden",
    "ood",
    "capability",
    "adversarial",
    "injection",
    "safety",
    "overrefusal",
    "robustness",
    "faithfulness",
    "fairness",
    "toolcall",
    "latency",
    "fingerprint",
]

RoundKind = Literal[Kind, "judge"]
"""What a round is about: a suite, or the calibration set of a judge."""

ATTACKS: frozenset[str] = frozenset({"adversarial", "injection", "safety"})
"""Kinds that need ``probes.acknowledge_attacks`` and a host on the list; their severity is that of safety."""

Outcome = Literal["pass", "fail", "unscored", "error"]

Failure = Literal[
    "incorrect",
    "harmful",
    "refusal",
    "partial_refusal",
    "biased",
    "leak",
    "hijacked",
    "unfaithful",
    "format",
    "empty",
    "truncated",
    "loop",
    "slow",
]

Error = Literal[
    "connect",
    "timeout_connect",
    "timeout_first",
    "timeout_total",
    "rate_limited",
    "server",
    "client",
    "reset",
    "cut_off",
    "not_json",
    "no_answer",
    "too_large",
    "budget",
    "cancelled",
]
"""Why nothing could be graded: ``client`` is a 4xx that is no refusal, ``cut_off`` a stream that ended half-way."""

Role = Literal["live", "base", "previous", "fallback"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; ``role`` is system, user, assistant or tool."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Call:
    """One rendered item: what is sent to a target.

    Attributes:
        messages: the conversation, system prompt included.
        max_tokens: of the answer.
        sampling: temperature, top_p, seed and the like; empty means what the endpoint does by itself.
        tools: function definitions in OpenAI's form; never run by us.
        schema: JSON schema that the answer is asked to keep to.
        logprobs: top log probabilities asked for of each token; 0 for none.
        salt: makes a cache miss; empty for none.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 256
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None
    logprobs: int = 0
    salt: str = ""


class ToolCall(NamedTuple):
    """A function that the model would call; ``arguments`` is text as it came."""

    name: str
    arguments: str


class TokenLogprob(NamedTuple):
    """A token with its log probability, and the most likely ones at its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; a failure is a value. Times in seconds.

    Attributes:
        text: the answer, empty when there is none.
        refusal: what the provider itself calls a refusal, or a content filter's reason.
        finish: finish reason as reported, empty when unknown.
        error: why there is no answer; None when there is one.
        status: HTTP status of the last attempt; None without one. attempts: requests sent.
        first_token: seconds to the first token of a stream; None when not streamed. seconds: to the end, of the last attempt.
        model, fingerprint: what the endpoint says of itself.
        suspect_cached: answered faster than a model can, or from a reported cache.
    """

    text: str = ""
    refusal: str | None = None
    finish: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    error: Error | None = None
    status: int | None = None
    attempts: int = 1
    first_token: float | None = None
    seconds: float = 0.0
    model: str | None = None
    fingerprint: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: float = 0.0
    logprobs: tuple[TokenLogprob, ...] = ()
    suspect_cached: bool = False


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader says of one reply.

    Attributes:
        outcome: ``unscored`` when the grader could not tell; never counted as a pass.
        grader: id with version, part of the baseline key.
        score: 0 to 1, or None. failure: how it failed.
        votes: what each judge said, by name.
    """

    outcome: Outcome
    grader: str
    score: float | None = None
    failure: Failure | None = None
    votes: Mapping[str, str] = field(default_factory=dict)


class Counts(NamedTuple):
    """What one category of a round came to.

    ``n`` graded answers, ``bad`` of them failed; ``unscored`` and ``error`` are not among the n. ``worse`` items only the live model got
    wrong, ``better`` items only the model beside it did (both 0 when nothing is asked beside it).
    """

    n: int = 0
    bad: int = 0
    unscored: int = 0
    error: int = 0
    worse: int = 0
    better: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one suite against one target: what the decider sees. Times in seconds since the epoch.

    Attributes:
        id: ``<model>/<target>/<suite>/<scheduled>``: natural, so that a round told twice counts once.
        model_name: the monitored model; target: name in the configuration; role: of the target.
        suite: ``<pack>/<suite>``; kind: of the suite; items: size of the fixed set. Of a judge's calibration the target is the judge and
            the suite ``judge/<name>``.
        key: baseline key, a digest of model, system prompt, sampling, pack version and graders.
        revision: what the replies reported of the model; empty when nothing.
        complete: False is inconclusive: it updates nothing but the streams of errors; ``reason`` says why.
        counts: category -> counts.
        calls, tokens, money: spent by this round, by every target asked.
        beside: role of the model that ``worse`` and ``better`` are about; ``live`` when nothing was asked beside it.
        seconds95: time that 95% of the live model's answers took at most; None when it was not measured.
    """

    id: str
    model_name: str
    target: str
    role: Role
    suite: str
    kind: RoundKind
    items: int
    scheduled: float
    started: float
    ended: float
    key: str
    revision: str
    complete: bool
    reason: str
    counts: Mapping[str, Counts]
    calls: int = 0
    tokens: int = 0
    money: float = 0.0
    beside: Role = "base"
    seconds95: float | None = None


@dataclass(frozen=True, slots=True)
class ProbeStream:
    """One category of a suite asked of one target, as the configuration and the packs have it: what the decider tests.

    Attributes:
        items: size of its fixed set; interval: seconds between two rounds.
        weight: share of the budgets of the model's probes, relative to the other streams.
        min_effect: smallest rise of the share of bad answers that is news; one and a half items of the set where that is more.
        severity: ``page`` wakes somebody alone, ``joint`` only while the drift of the model pages too, ``ticket`` never.
        critical: one round may cross.
        paired: also tested against the base model asked the same items in the same round.
        answers: graded answers of a record that may page.
        judges: names of the judges that grade it.
        must_have_data: a gate is inconclusive without an answer of it.
    """

    model_name: str
    target: str
    suite: str
    category: str
    kind: RoundKind
    items: int
    interval: float
    weight: float = 1.0
    min_effect: float = 0.05
    severity: Literal["page", "joint", "ticket"] = "page"
    critical: bool = False
    paired: bool = False
    answers: int = 400
    judges: tuple[str, ...] = ()
    must_have_data: bool = True


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One graded answer: a row of the history and of ``tiltmeter probe --out``. Never an item's text; the reply only where allowed.

    ``prompt_hash`` and ``reply_hash`` are keyed digests; ``output`` is the reply's text only for a suite that is not sensitive and where
    ``probes.store_text`` allows it.
    """

    time: float
    round: str
    model_name: str
    target: str
    role: Role
    suite: str
    kind: Kind
    category: str
    item: str
    variant: str
    group: str
    repeat: int
    outcome: Outcome
    score: float | None
    failure: Failure | None
    grader: str
    votes: Mapping[str, str]
    error: Error | None
    status: int | None
    attempts: int
    first_token: float | None
    seconds: float
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    cost: float
    finish: str
    model_reported: str | None
    fingerprint: str | None
    suspect_cached: bool
    key: str
    prompt_hash: str
    reply_hash: str
    reply_length: int
    output: str | None = None


class Spent(NamedTuple):
    """What an endpoint has cost: requests with retries, tokens in and out, money in the currency of its prices."""

    calls: int = 0
    tokens: int = 0
    money: float = 0.0


@dataclass(frozen=True, slots=True)
class Print:
    """What one fixed question told of the model behind a target: part of its fingerprint.

    ``model``, ``fingerprint``: as reported. ``answer``: keyed digest of the reply. ``logprobs``: the likeliest first tokens with their log
    probabilities, empty where the endpoint tells none.
    """

    round: str
    item: str
    repeat: int
    target: str
    suite: str
    time: float
    model: str | None
    fingerprint: str | None
    tokens_in: int
    answer: str
    logprobs: tuple[tuple[str, float], ...] = ()
