"""Settings of the canary probes: which endpoints, which judges, what may be spent, which gates."""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from service.config.base import Seconds, Settings

_SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"))


class Sampling(Settings):
    """How a model is asked to draw; what is unset is left to the endpoint."""

    temperature: float | None = Field(None, ge=0, description="0 for the likeliest token.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus.")
    seed: int | None = Field(None, description="Where the endpoint takes one.")


class Timeouts(Settings):
    """How long an answer may take."""

    connect: Seconds = Field(5.0, gt=0, description="Until the connection stands.")
    first_token: Seconds = Field(30.0, gt=0, description="Until the first token of a stream, or the first byte.")
    total: Seconds = Field(120.0, gt=0, description="Until the end.")


class Rate(Settings):
    """How fast a target may be asked."""

    per_minute: float = Field(60.0, gt=0, description="Requests per minute.")
    concurrency: int = Field(2, gt=0, description="Requests at once.")


class Daily(Settings):
    """What a target may cost a day (UTC); what is unset is not limited."""

    calls: int | None = Field(500, ge=0, description="Requests, retries counted.")
    tokens: int | None = Field(None, ge=0, description="Tokens in and out.")
    money: float | None = Field(None, ge=0, description="In the currency of the prices.")


class Price(Settings):
    """Of a million tokens, in any one currency."""

    input: float = Field(0.0, ge=0, description="Tokens sent.")
    output: float = Field(0.0, ge=0, description="Tokens answered.")


class Rest(Settings):
    """An endpoint of another form."""

    body: Any = Field(description="JSON body; the string $INPUT stands for the last user turn, $MESSAGES for the whole conversation.")
    answer: str = Field(description="JSON pointer to the answer's text.")


class Endpoint(Settings):
    """A model behind a URL."""

    url: str = Field(description="Base URL, such as http://vllm:8000/v1; of `rest` the whole URL.")
    api: Literal["chat", "completions", "rest"] = Field("chat", description="OpenAI's chat or completions, or a form of its own.")
    model: str = Field("", description="Model id sent with each request. Unset: the first one that the endpoint lists.")
    key_env: str | None = Field(None, description="Environment variable that holds the API key.")
    key_file: Path | None = Field(None, description="File that holds the API key.")
    key_header: str = Field(
        "Authorization", description="Header that carries the key: after `Bearer` in Authorization, alone in any other."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers; no secrets.")
    stream: bool = Field(True, description="Ask for a stream, where the endpoint can.")
    rest: Rest | None = Field(None, description="Body and answer of api `rest`.")
    timeouts: Timeouts = Field(default_factory=Timeouts, description="How long an answer may take.")
    rate: Rate = Field(default_factory=Rate, description="How fast it may be asked.")
    daily: Daily = Field(default_factory=Daily, description="What it may cost a day.")
    price: Price = Field(default_factory=Price, description="Of a million tokens.")

    @model_validator(mode="after")
    def _form(self) -> "Endpoint":
        if (self.api == "rest") != (self.rest is not None):
            raise ValueError("rest: expected with api 'rest' and only there")
        if self.key_env and self.key_file:
            raise ValueError("key_env, key_file: expected one of them")
        if secret := _SECRET_HEADERS & {name.lower() for name in self.headers}:
            raise ValueError(
                f"headers: {min(secret)} holds a secret: expected key_env or key_file, and key_header where it is not Authorization"
            )
        if not all(text.isascii() and text.isprintable() for pair in (*self.headers.items(), (self.key_header, "")) for text in pair):
            raise ValueError("headers: expected printable ASCII")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("url: expected a URL such as http://vllm:8000/v1")
        return self


class Target(Endpoint):
    """An endpoint that is probed."""

    monitors: str = Field(description="Monitored model that answers here: a key of `models`.")
    role: Literal["live", "base", "previous", "fallback"] = Field("live", description="What it is to that model.")
    kind: Literal["model", "application"] = Field(
        "model", description="application: more than a model stands behind it; it is never sent tool calls."
    )
    system_prompt_file: Path | None = Field(None, description="The system prompt of production, which packs call `@prod`.")
    sampling: Sampling = Field(default_factory=Sampling, description="Of production, which packs call `prod`.")
    through_gateway: bool = Field(False, description="Requests pass the tap: they must come back at the source, or the tap is blind.")


class Judge(Endpoint):
    """A model that grades."""

    calibration: Path | None = Field(None, description="Labelled answers (JSONL) that it grades again and again; unset: the built-in ones.")
    samples: int = Field(1, gt=0, description="Times it is asked for each answer; an odd number.")


class Probes(Settings):
    """What is asked."""

    packs: list[str] = Field(default_factory=list, description="Names of built-in packs, or paths of YAML files.")
    golden: Path | None = Field(None, description="Your own items (JSONL or CSV), which the built-in packs `golden` and `twins` ask.")
    every: dict[str, Seconds] = Field(default_factory=dict, description="Interval of a suite (`pack/suite`) other than its pack says.")
    acknowledge_attacks: bool = Field(False, description="Adversarial, injection and safety suites may be sent.")
    allowed_hosts: list[str] = Field(default_factory=list, description="Hosts that these suites may be sent to.")
    allow_code: bool = Field(False, description="Packs may name graders in Python (`module:function`).")
    tag_key_file: Path | None = Field(None, description="Secret that signs canaries, otherwise TILTMETER_CANARY_KEY.")
    store_text: bool = Field(False, description="Keep the answers of suites that are not sensitive.")
    weight: float = Field(0.3, gt=0, lt=1, description="Part of a model's budgets that its probes have together.")
    period: Seconds = Field(86400.0, gt=0, description="Over which rates with intervals are shown.")

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, hosts: list[str]) -> list[str]:
        """A URL or a wildcard would be compared whole, and allow nothing."""
        for host in hosts:
            if not host.strip() or set(host.strip()) & set("/*@ "):
                raise ValueError(f"hosts without scheme, path and wildcards, such as vllm or vllm:8000, unlike '{host}'")
        return hosts


class Gate(Settings):
    """A question of a release pipeline."""

    model: str = Field(description="Monitored model: a key of `models`.")
    stage: Literal["A", "B", "C"] = Field("B", description="A: pilot, B: scale, C: production.")
    suites: list[str] = Field(default_factory=list, description="Suites (`pack/suite`) that must have data. Unset: all that are asked.")
    margin: float = Field(0.05, gt=0, lt=1, description="How much worse than the record is still not worse.")
    fewest: int = Field(100, gt=0, description="Answers a suite needs to pass.")
    cost: float | None = Field(None, gt=0, description="Largest cost of an answer, relative to the record.")
    latency: float | None = Field(None, gt=0, description="Largest 95% time of an answer, relative to the record.")
