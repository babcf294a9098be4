"""The routes of the gates, and the advice beside a score."""

from dataclasses import replace
from typing import Any

import pytest
from web import AUTH, TOKEN, connected, make, score

from service.records import Advice

pytestmark = pytest.mark.asyncio

RELEASE: dict[str, Any] = {
    "name": "release",
    "model_name": "support-bot",
    "stage": "B",
    "verdict": "pass",
    "reasons": ("golden/facts: 3 of 200 wrong, record 2.00%: not worse",),
    "since": 1.0,
    "last": 2.0,
    "streams": {"live/golden/facts": "pass"},
    "began": {"live/golden/facts": 1.0},
    "judged": 3.0,
    "advice": {"fallback": False, "reason": "calm"},
}


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
async def test_the_verdict_is_in_the_body_and_the_status_is_200(verdict: str) -> None:
    row = RELEASE | {"verdict": verdict}
    async with connected(make(gates=lambda: [RELEASE | {"name": "pilot"}, row])) as client:
        answer = await client.get("/v1/gates/release")
        assert (answer.status_code, answer.json()) == (200, row | {"reasons": list(row["reasons"])})
        assert [each["name"] for each in (await client.get("/v1/gates")).json()["gates"]] == ["pilot", "release"]


@pytest.mark.parametrize(
    ("began", "release", "late"),
    [
        ({"a": 100.0, "b": 120.0}, "100", []),
        ({"a": 100.0, "b": 120.0}, "1970-01-01T00:01:41", ["a"]),
        ({"a": 100.0, "b": None}, "50", ["b"]),
        ({}, "50", ["no suite is asked"]),
    ],
)
async def test_a_suite_that_was_not_asked_of_the_release_leaves_it_open(began: dict[str, Any], release: str, late: list[str]) -> None:
    async with connected(make(gates=lambda: [RELEASE | {"began": began}])) as client:
        answer = (await client.get("/v1/gates/release", params={"since": release})).json()
        assert answer["verdict"] == ("inconclusive" if late else "pass")
        if late:
            assert [reason.split(":")[0].split(" of a model")[0] for reason in answer["reasons"]] == late
        assert (await client.get("/v1/gates/release", params={"since": "soon"})).status_code == 422


async def test_an_unknown_gate_is_told_the_known_ones() -> None:
    async with connected(make(gates=lambda: [RELEASE])) as client:
        answer = await client.get("/v1/gates/releese")
        assert (answer.status_code, answer.json()["detail"]) == (404, "no gate is called 'releese'; known: release")
    async with connected(make(gates=lambda: [])) as client:
        assert "has no gates" in (await client.get("/v1/gates/release")).json()["detail"]
        assert (await client.get("/v1/gates")).json() == {"gates": []}


@pytest.mark.parametrize("path", ["/v1/gates", "/v1/gates/release"])
async def test_who_does_not_decide_says_so_and_when_to_ask_again(path: str) -> None:
    async with connected(make(gates=lambda: "another process is the active decider")) as client:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "another process is the active decider" in answer.json()["detail"]


@pytest.mark.parametrize("told", [Advice(True, "a page of safety is open"), Advice(False, "calm"), Advice(None, "another process decides")])
async def test_a_score_carries_advice(told: Advice) -> None:
    async with connected(make(score=lambda record: replace(score(record), advice=told))) as client:
        answer = (await client.post("/v1/score", json={"text": "hello there"}, headers=AUTH)).json()
        assert answer["advice"] == {"fallback": told.fallback, "reason": told.reason}
        assert answer["p_value"] == 0.03


async def test_where_nothing_decides_the_advice_is_none_with_a_reason() -> None:
    async with connected(make()) as client:
        advice = (await client.post("/v1/score", json={"text": "hello"}, headers={"Authorization": f"Bearer {TOKEN}"})).json()["advice"]
        assert advice == {"fallback": None, "reason": "nothing in this process decides"}
