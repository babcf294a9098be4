"""``tiltmeter grafana push`` as its user sees it: what it says, and with which status it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from grafana_server import TOKEN, Grafana, serving
from typer.testing import CliRunner, Result

from service.grafana import client as room
from service.main import app
from service.main.grafana import answers

CONFIG = "source: {kind: http}\nmodels: {bot: {bundle: b}}\n"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAUSE", 0.001)


@pytest.fixture
def served() -> Iterator[tuple[Grafana, str]]:
    with serving() as found:
        yield found


def push(*arguments: object, token: str | None = TOKEN) -> Result:
    words = ["grafana", "push", *map(str, arguments)]
    return CliRunner(env={"TILTMETER_GRAFANA_TOKEN": token}).invoke(app, words)


def test_by_a_configuration_and_again(served: tuple[Grafana, str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"{CONFIG}grafana: {{url: '{served[1]}', folder: Ops}}\n")
    first, second = push("--config", tmp_path / "c.yaml"), push("--config", tmp_path / "c.yaml")
    assert first.exit_code == second.exit_code == 0
    assert first.output.splitlines()[0] == "created    folder Ops"
    assert set(second.output.split()) & {"created", "updated", "kept"} == set()
    assert served[0].folders == {"ops": "Ops"}


def test_a_dry_run_says_what_would_be_and_writes_nothing(served: tuple[Grafana, str]) -> None:
    done = push("--url", served[1], "--dry-run")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "nothing was written (--dry-run)"
    assert "created    Tiltmeter / Overview" in done.output
    assert not served[0].wrote()


def test_changed_by_hand_is_told_and_overwritten_when_asked(served: tuple[Grafana, str]) -> None:
    push("--url", served[1])
    served[0].by_hand("tiltmeter-overview", title="Mine")
    kept = push("--url", served[1])
    assert kept.exit_code == 0
    assert "kept       Tiltmeter / Overview: changed by hand: version 2, pushed as version 1; --overwrite replaces it" in kept.output
    assert "updated    Tiltmeter / Overview" in push("--url", served[1], "--overwrite").output


def test_what_fails_is_status_one_and_says_what_to_do(served: tuple[Grafana, str]) -> None:
    wrong = push("--url", served[1], token="glsa_wrong")
    assert wrong.exit_code == 1
    assert wrong.output == f"error: {served[1]}: 401: Invalid API key; the token came from TILTMETER_GRAFANA_TOKEN\n"
    lost = push("--url", f"{served[1]}/grafana")
    assert (lost.exit_code, "is this Grafana's address, sub-path included?" in lost.output) == (1, True)
    served[0].forbidden.add("dashboards:write")
    denied = push("--url", served[1])
    assert denied.exit_code == 1
    assert "failed     Tiltmeter / Overview: 403: You'll need additional permissions" in denied.output
    assert "dashboards:create" in denied.output
    served[0].folders.clear()
    served[0].forbidden.add("folders:create")
    assert "needs the right folders:create, or the role Editor" in push("--url", served[1]).output


def test_grafana_is_away() -> None:
    done = push("--url", "http://127.0.0.1:9")
    assert done.exit_code == 1
    assert done.output == "error: http://127.0.0.1:9: no answer (ConnectionError); is Grafana listening there?\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "error: --url or --config: missing; expected: Grafana's address"),
        (["--url", "grafana:3000"], "error: --url: expected an address such as http://grafana:3000, without user, query or fragment"),
        (["--url", "http://127.0.0.1:9", "--folder", ""], "error: --folder: "),
        (["--url", "http://127.0.0.1:9", "--token-file", "nowhere"], "error: nowhere: the file that should hold TILTMETER_GRAFANA_TOKEN"),
        (["--config", "{config}"], "c.yaml: grafana.url: missing; expected: Grafana's address, such as http://grafana:3000"),
    ],
)
def test_what_is_written_wrong_is_status_two(tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = push(*(argument.format(config=tmp_path / "c.yaml") for argument in arguments))
    assert done.exit_code == 2
    assert told in done.output


def test_no_token_is_status_two(served: tuple[Grafana, str]) -> None:
    done = push("--url", served[1], token=None)
    assert done.exit_code == 2
    assert "set TILTMETER_GRAFANA_TOKEN or grafana.token_file" in done.output
    assert not served[0].requests


def test_other_dashboards(served: tuple[Grafana, str], tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"uid": "mine", "title": "Mine"}')
    assert "created    Mine" in push("--url", served[1], "--dashboards", tmp_path).output
    (tmp_path / "mine.json").write_text('{"uid": "mine"}')
    assert push("--url", served[1], "--dashboards", tmp_path).exit_code == 1


def test_check_config_asks_grafana(served: tuple[Grafana, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from service.config import Grafana as Settings
    from service.errors import DataError

    monkeypatch.setenv("TILTMETER_GRAFANA_TOKEN", TOKEN)
    assert answers(Settings(url=served[1])) == "Grafana answers, and takes the token"
    served[0].token = "another"
    with pytest.raises(DataError, match=r"grafana: .*401"):
        answers(Settings(url=served[1]))
