import pytest

from service.config import Endpoint, Probes
from service.probes.attacks import attack_allowed


def reason(url: str, **settings: object) -> str | None:
    return attack_allowed(Endpoint(url=url), Probes(**{"acknowledge_attacks": True, **settings}))


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://vllm:8000/v1", ["vllm"]),
        ("http://VLLM:8000/v1", ["other", " vllm "]),
        ("http://vllm:8000/v1", ["vllm:8000"]),
        ("https://api.example.com/v1", ["api.example.com:443"]),
        ("http://[::1]:80/v1", ["[::1]"]),
    ],
)
def test_a_host_on_the_list_may_be_attacked(url: str, hosts: list[str]) -> None:
    assert reason(url, allowed_hosts=hosts) is None


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://vllm:8000/v1", []),
        ("http://vllm:8000/v1", ["vllm:8001"]),
        ("http://vllm.evil.com/v1", ["vllm"]),
        ("http://evil.com/vllm", ["vllm"]),
        ("http://vllm@evil.com/v1", ["vllm"]),
        ("http://a.example.com/v1", ["example.com"]),
    ],
)
def test_every_other_host_may_not(url: str, hosts: list[str]) -> None:
    assert "probes.allowed_hosts" in (reason(url, allowed_hosts=hosts) or "")


def test_nobody_is_attacked_without_an_acknowledgement() -> None:
    assert reason("http://vllm/v1", allowed_hosts=["vllm"], acknowledge_attacks=False) == "probes.acknowledge_attacks is not set"
