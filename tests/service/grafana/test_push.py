"""Pushed as often as one likes; what somebody changed by hand is kept; every way it can go wrong is told for each dashboard."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from grafana_server import Fault, Grafana

from service.errors import DataError
from service.grafana.client import Client, Failed
from service.grafana.push import Board, Outcome, place, push, read

Clients = Callable[..., Client]
ROOT = Path(__file__).parents[3]


def board(uid: str = "one", **model: Any) -> Board:
    return Board(uid, uid.title(), {"uid": uid, "title": uid.title(), "description": "What it shows.", **model}, f"{len(model):012x}")


def pushed(client: Client, *boards: Board, **how: bool) -> list[str]:
    uid, _ = place(client, "Tiltmeter", dry=how.get("dry", False))
    return [outcome.did for outcome in push(client, boards, uid, **how)]


def test_the_second_push_writes_nothing(grafana: Grafana, client: Client) -> None:
    assert pushed(client, board(), board("two")) == ["created", "created"]
    grafana.requests.clear()
    assert pushed(client, board(), board("two")) == ["unchanged", "unchanged"]
    assert grafana.wrote() == []


def test_only_what_changed_is_written(grafana: Grafana, client: Client) -> None:
    pushed(client, board(), board("two"))
    grafana.requests.clear()
    assert pushed(client, board(), board("two", panels=[1])) == ["unchanged", "updated"]
    assert len(grafana.wrote()) == 1
    assert grafana.boards["two"]["model"]["panels"] == [1]
    assert pushed(client, board("two", panels=[1])) == ["unchanged"]


def test_what_was_changed_by_hand_is_kept_until_told_otherwise(grafana: Grafana, client: Client) -> None:
    pushed(client, board())
    grafana.by_hand("one", title="Mine")
    outcome = push(client, [board(panels=[1])], "tiltmeter")[0]
    assert outcome.did == "kept"
    assert outcome.why == "changed by hand: version 2, pushed as version 1; --overwrite replaces it"
    assert pushed(client, board()) == ["kept"]
    assert grafana.boards["one"]["model"]["title"] == "Mine"
    assert pushed(client, board(), overwrite=True) == ["updated"]
    assert grafana.boards["one"]["model"]["title"] == "One"
    assert pushed(client, board()) == ["unchanged"]


def test_going_back_to_an_older_version_by_hand_is_a_change_by_hand(grafana: Grafana, client: Client) -> None:
    pushed(client, board())
    older = dict(grafana.boards["one"]["model"])
    pushed(client, board(panels=[1]))
    grafana.by_hand("one", description=older["description"], panels=[])
    assert pushed(client, board(panels=[1])) == ["kept"]


def test_a_dashboard_of_somebody_else_is_kept(grafana: Grafana, client: Client) -> None:
    grafana.boards["one"] = {"model": {"uid": "one", "title": "Theirs", "version": 7, "id": 1}, "folder": "ops"}
    assert pushed(client, board()) == ["kept"]
    assert pushed(client, board(), overwrite=True) == ["updated"]
    assert grafana.boards["one"]["folder"] == "tiltmeter"


def test_a_provisioned_one_is_kept_whatever_is_told(grafana: Grafana, client: Client) -> None:
    pushed(client, board())
    grafana.provisioned.add("one")
    assert pushed(client, board(panels=[1]), overwrite=True) == ["kept"]
    assert "provisioned" in push(client, [board(panels=[1])], "tiltmeter")[0].why


def test_another_folder_moves_what_was_not_touched(grafana: Grafana, client: Client) -> None:
    pushed(client, board())
    uid, made = place(client, "LLM watch")
    assert (uid, made.did) == ("llm-watch", "created")
    assert [o.did for o in push(client, [board()], uid)] == ["updated"]
    assert grafana.boards["one"]["folder"] == "llm-watch"


def test_a_dry_run_writes_nothing(grafana: Grafana, client: Client) -> None:
    assert pushed(client, board(), dry=True) == ["created"]
    pushed(client, board())
    grafana.requests.clear()
    assert pushed(client, board(panels=[1]), dry=True) == ["updated"]
    assert grafana.wrote() == []


def test_lost_answers_are_no_second_write(grafana: Grafana, client: Client) -> None:
    grafana.faults += [("POST", "/folders", Fault(lost=True)), ("POST", "/dashboards/db", Fault(lost=True))]
    assert pushed(client, board()) == ["created"]
    grafana.faults.append(("POST", "/dashboards/db", Fault(lost=True)))
    assert pushed(client, board(panels=[1])) == ["updated"]
    assert grafana.boards["one"]["model"]["version"] == 2
    assert grafana.folders == {"tiltmeter": "Tiltmeter"}
    assert pushed(client, board(panels=[1])) == ["unchanged"]


def test_saved_by_somebody_between_look_and_write(grafana: Grafana, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed(client, board())
    save = client.save

    def late(*arguments: Any) -> int:
        grafana.by_hand("one", title="Mine")
        return save(*arguments)

    monkeypatch.setattr(client, "save", late)
    outcome = push(client, [board(panels=[1])], "tiltmeter", overwrite=True)[0]
    assert outcome.did == "kept"
    assert grafana.boards["one"]["model"]["title"] == "Mine"


def test_one_that_fails_does_not_keep_the_others(grafana: Grafana, client: Client) -> None:
    place(client, "Tiltmeter")
    grafana.faults.append(
        ("POST", "/dashboards/db", Fault(412, '{"message": "A dashboard with the same name exists", "status": "name-exists"}'))
    )
    found = push(client, [board(), board("two")], "tiltmeter")
    assert found == [Outcome("One", "failed", "412: A dashboard with the same name exists"), Outcome("Two", "created")]


def test_no_right_to_write_is_told_for_each(grafana: Grafana, client: Client) -> None:
    place(client, "Tiltmeter")
    grafana.forbidden.add("dashboards:write")
    found = push(client, [board(), board("two")], "tiltmeter")
    assert [outcome.did for outcome in found] == ["failed", "failed"]
    assert all(outcome.why.startswith("403: ") for outcome in found)


def test_no_right_to_make_the_folder(grafana: Grafana, client: Client) -> None:
    grafana.forbidden.add("folders:create")
    with pytest.raises(Failed, match="403"):
        place(client, "Tiltmeter")
    grafana.folders["made-by-hand"] = "Tiltmeter"
    assert place(client, "Tiltmeter") == ("made-by-hand", Outcome("Tiltmeter", "unchanged"))


def test_a_folder_that_was_renamed_is_used_and_told(grafana: Grafana, client: Client) -> None:
    grafana.folders["tiltmeter"] = "Drift"
    assert place(client, "Tiltmeter") == ("tiltmeter", Outcome("Tiltmeter", "unchanged", "it is called 'Drift' in Grafana"))


@pytest.mark.parametrize("fault", [Fault(401, '{"message": "expired"}'), Fault(lost=True)])
def test_what_no_other_would_do_better_ends_it(grafana: Grafana, client: Client, fault: Fault) -> None:
    place(client, "Tiltmeter")
    grafana.requests.clear()
    grafana.faults += [("GET", "/dashboards", fault)] * 4
    with pytest.raises(Failed):
        push(client, [board(), board("two")], "tiltmeter")
    assert {path for _, path in grafana.requests} == {"/api/dashboards/uid/one"}


def test_a_grafana_that_counts_otherwise_is_told(grafana: Grafana, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    place(client, "Tiltmeter")
    monkeypatch.setattr(client, "save", lambda *_: 5)
    assert push(client, [board()], "tiltmeter")[0].why.startswith("as version 5, not 1")


def test_ours_are_read_and_pushed_as_they_are(grafana: Grafana, client: Client) -> None:
    boards = read(ROOT / "dashboards" / "json")
    assert set(pushed(client, *boards)) == {"created"}
    for each in boards:
        stored = dict(grafana.boards[each.uid]["model"])
        assert stored.pop("description").startswith(each.model["description"])
        assert {**each.model, "id": stored["id"], "version": 1} == {**stored, "description": each.model["description"]}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "{", "a.json: cannot be read: not JSON"),
        ("a.json", "[]", "a.json: expected a dashboard in Grafana's classic JSON"),
        (
            "a.json",
            json.dumps({"apiVersion": "dashboard.grafana.app/v2", "spec": {}}),
            "a.json: expected a dashboard in Grafana's classic JSON",
        ),
        ("a.json", json.dumps({"uid": "a/b", "title": "t"}), "a.json: expected a dashboard"),
        ("a.txt", "", "expected dashboards, files named *.json"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert told in str(caught.value)
