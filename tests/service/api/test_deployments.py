"""Announced deployments: who may announce them, where they are shown."""

from typing import Any

import httpx
import pytest
from web import AUTH, NOW, Stage, incident, status

from service.api.view import Deployed

pytestmark = pytest.mark.asyncio

BODY = {"model": "support-bot", "revision": "r7", "reason": "weekly"}


async def test_a_deployment_becomes_a_command(client: httpx.AsyncClient, stage: Stage) -> None:
    assert (await client.post("/v1/deployments", json=BODY)).status_code == 401
    assert stage.commands == []
    said = await client.post("/v1/deployments", json={**BODY, "actor": "ci"}, headers=AUTH)
    assert said.status_code == 202
    (command,) = stage.commands
    assert (command.id, command.kind, command.actor, command.time) == (said.json()["command"], "deployment.add", "ci", NOW)
    assert dict(command.arguments) == BODY


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"model": "other"}, 404, "no model is called 'other'; known: support-bot"),
        ({"revision": ""}, 422, "revision"),
        ({"reason": None}, 422, "reason"),
        ({"revison": "r"}, 422, "revison"),
        ({"revision": "r" * 201}, 422, "revision"),
    ],
)
async def test_what_cannot_be_announced_is_refused(
    client: httpx.AsyncClient, stage: Stage, changes: dict[str, Any], code: int, message: str
) -> None:
    said = await client.post("/v1/deployments", json=BODY | changes, headers=AUTH)
    assert said.status_code == code
    assert message in said.text
    assert stage.commands == []


async def test_the_newest_come_first_and_an_incident_names_the_last_before_it(client: httpx.AsyncClient, stage: Stage) -> None:
    opened = incident().opened
    told = [Deployed("support-bot", f"r{i}", opened + seconds, "ci", "weekly") for i, seconds in enumerate((-9000.0, -60.0, 60.0))]
    told.insert(2, Deployed("quiet-bot", "q", opened - 1, "ci", "weekly"))
    stage.state["status"] = status("critical", incidents=(incident(), incident(id="old", opened=opened - 10_000)), deployments=told)
    rows = (await client.get("/v1/deployments")).json()["deployments"]
    assert [row["revision"] for row in rows] == ["r2", "q", "r1", "r0"]
    assert rows[1] == {"model_name": "quiet-bot", "revision": "q", "time": opened - 1, "actor": "ci", "reason": "weekly"}
    mine = (await client.get("/v1/deployments", params={"model": "quiet-bot"})).json()["deployments"]
    assert [row["revision"] for row in mine] == ["q"]
    one, old = (await client.get("/v1/incidents")).json()["incidents"]
    assert (one["deployment"]["revision"], old["deployment"]) == ("r1", None)
    assert (await client.get(f"/v1/incidents/{one['id']}")).json() == one
