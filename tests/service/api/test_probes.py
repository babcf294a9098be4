"""The routes of the probes: what is asked, asking now, and what came of it."""

from pathlib import Path
from typing import Any

import pytest
from web import NOW, TOKEN, connected, make, status

from probe_rows import result, round_
from service.api.view import Answers, ProbeRecord
from service.store import Store

pytestmark = pytest.mark.asyncio

AUTH = {"Authorization": f"Bearer {TOKEN}"}
STATUS = {"active": True, "suites": [], "endpoints": {}}


class Asked:
    """Takes what is to be asked now."""

    def __init__(self, answer: list[str] | None) -> None:
        self.given: list[tuple[str | None, str | None]] = []
        self._answer = answer

    def __call__(self, target: str | None, suite: str | None) -> list[str] | None:
        self.given.append((target, suite))
        return self._answer


async def test_without_probes_there_is_nothing_to_see() -> None:
    async with connected(make()) as client:
        assert (await client.get("/v1/probes")).status_code == 404
        assert (await client.post("/v1/probes", json={}, headers=AUTH)).status_code == 404


@pytest.mark.parametrize(("answer", "status"), [(["bot/live/p/s/now-1"], 202), (None, 503), ([], 404)])
async def test_asking_now(answer: list[str] | None, status: int) -> None:
    asked = Asked(answer)
    async with connected(make(probes=lambda: STATUS, ask_now=asked)) as client:
        assert (await client.get("/v1/probes")).json() == STATUS
        assert (await client.post("/v1/probes", json={})).status_code == 401
        assert (await client.post("/v1/probes", json={"suit": "p/s"}, headers=AUTH)).status_code == 422
        assert asked.given == []
        said = await client.post("/v1/probes", json={"suite": "p/s"}, headers=AUTH)
        assert said.status_code == status
        assert asked.given == [(None, "p/s")]
        assert status != 202 or said.json() == {"rounds": answer}


async def test_rounds_are_for_everybody_and_answers_need_the_token(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/history.db")
    store.probes.begin(round_(1), 9.0)
    store.probes.end([round_(2)], "ended", 9.0)
    store.probes.record([result()])
    queries: Any = store
    async with connected(make(queries=lambda: queries)) as client:
        rounds = (await client.get("/v1/probes/rounds", params={"suite": "p/s"})).json()["rounds"]
        assert [(row["id"], row["state"], row["counts"]["sums"]["bad"]) for row in rounds] == [("bot/live/p/s/2", "ended", 1)]
        assert (await client.get("/v1/probes/results")).status_code == 401
        rows = (await client.get("/v1/probes/results", headers=AUTH)).json()["results"]
        assert [(row["item"], row["output"]) for row in rows] == [("q1", "größe")]
    store.close()


async def test_records_are_for_everybody_and_an_acceptance_becomes_a_command() -> None:
    record, now = Answers("key-1", "m1", 400, 20, NOW - 9000, 0.09, "learned", "the first answers"), Answers("key-2", "m2", 40, 9, NOW - 60)
    rows = [
        ProbeRecord("support-bot", "live", suite, "", "probe", "ok", record, now, on_trial=True, acceptable=True)
        for suite in ("p/s", "p/t")
    ]
    stage = make()
    stage.state["status"] = status(probe_records=rows)
    async with connected(stage) as client:
        only = {"suite": "p/t", "model": "support-bot", "target": "live"}
        (row,) = (await client.get("/v1/probes/records", params=only)).json()["records"]
        assert (row["suite"], row["record"]["bound"], row["now"]["bad"], row["on_trial"]) == ("p/t", 0.09, 9, True)
        assert (await client.get("/v1/probes/records", params={"target": "other"})).json() == {"records": []}
        body = {"model": "support-bot", "suite": "p/s", "reason": "wanted", "actor": "ada"}
        assert (await client.post("/v1/probes/accept", json=body)).status_code == 401
        for wrong, code in (({"reason": ""}, 422), ({"suit": "p/s"}, 422), ({"model": "other"}, 404)):
            assert (await client.post("/v1/probes/accept", json=body | wrong, headers=AUTH)).status_code == code
        assert stage.commands == []
        assert (await client.post("/v1/probes/accept", json=body, headers=AUTH)).status_code == 202
        assert (await client.post("/v1/probes/accept", json={"model": "support-bot", "reason": "all"}, headers=AUTH)).status_code == 202
    assert [(c.kind, c.actor, dict(c.arguments)) for c in stage.commands] == [
        ("probe.accept", "ada", {"model": "support-bot", "suite": "p/s", "reason": "wanted"}),
        ("probe.accept", "api", {"model": "support-bot", "reason": "all"}),
    ]
