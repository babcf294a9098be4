"""Strange prompts kept for labelling: only redacted, only so many, only so long, and only where it is switched on."""

import json
import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from web import AUTH, NOW, Rows, connected, incident, make, status

from service.api.ranking import ranked
from service.config import Config
from service.main.curation import WAITING, Keeper, judged
from service.main.incident_text import details, texts
from service.records import Incident, Prompt, Scores
from service.store import Example, Store
from stub import StubScoring

KEEP = 7 * 86_400.0


def config(**changes: object) -> Config:
    return Config.model_validate(
        {"source": {"kind": "http"}, "models": {"bot": {"bundle": "b"}}, "curation": {"store_text": "redacted", **changes}}
    )


def scores(p_values: Sequence[float]) -> Scores:
    p = np.array(p_values, np.float32)
    n = p.size
    whole, flags = np.zeros(n, np.int32), np.zeros(n, np.bool_)
    values = {"score": p, "p_value": p, "strange": p <= 0.05, "far": p <= 0.01, "topic": whole, "tokens": whole, "truncated": flags}
    return Scores(**{name: values.get(name, np.zeros((n, 0), np.int16)) for name in Scores.__slots__})  # type: ignore[arg-type]


def prompts(*texts: str, time: float = NOW) -> list[Prompt]:
    return [Prompt(str(i), text, time, "bot") for i, text in enumerate(texts)]


def example(text: str, p_value: float = 0.01, **changes: object) -> Example:
    values = {"model_name": "bot", "digest": text, "bundle": "B", "slice": "", "time": NOW, "stored": NOW, "p_value": p_value, "far": True}
    return Example(**(values | {"text": text} | changes))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path}/history.db")


def kept(store: Store) -> list[Example]:
    return store.examples("bot", -math.inf, math.inf, -math.inf, 1000)


def test_strange_prompts_are_kept_redacted_and_once(store: Store) -> None:
    keeper = Keeper(config(), clock=lambda: NOW)
    batch = prompts("ask Ada Byron at ada@example.com", "what is my balance", "call 555 0199", "Call  555 0188")
    keeper.take(batch, scores([0.004, 0.7, 0.03, 0.03]), lambda model: "B")
    keeper.write(store)
    keeper.take(batch, scores([0.004, 0.7, 0.03, 0.03]), lambda model: "B")  # read again after a rewind
    keeper.write(store)
    assert [(row.text, row.far) for row in kept(store)] == [("ask [name] at [email]", True), ("Call  [number]", False)]
    assert {(row.bundle, row.time, row.stored) for row in kept(store)} == {("B", NOW, NOW)}


def test_what_a_database_cannot_hold_does_not_cost_the_others(store: Store) -> None:
    keeper = Keeper(config(), clock=lambda: NOW)
    keeper.take(prompts("nul \0 here", "half \ud800 pair", "plain"), scores([0.01] * 3), lambda model: "B")
    keeper.write(store)
    assert {row.text for row in kept(store)} == {"nul  here", "half ? pair", "plain"}


def test_of_one_window_only_so_many_are_kept(store: Store) -> None:
    keeper = Keeper(config(per_window=2), clock=lambda: NOW)
    for window in range(3):
        texts = [f"window {'abc'[window]} text {'vwxyz'[i]}" for i in range(5)]
        keeper.take(prompts(*texts, time=NOW + 60 * window), scores([0.01] * 5), lambda model: "B")
    keeper.write(store)
    assert sorted(row.text for row in kept(store)) == [f"window {w} text {t}" for w in "abc" for t in "vw"]


def test_texts_go_when_their_time_is_over(store: Store) -> None:
    now = NOW
    keeper = Keeper(config(), clock=lambda: now)
    keeper.take(prompts("old one"), scores([0.01]), lambda model: "B")
    keeper.write(store)
    now += KEEP - 1
    keeper.take(prompts("new one"), scores([0.01]), lambda model: "B")
    keeper.write(store)
    keeper.forget(store)
    assert len(kept(store)) == 2
    now += 2
    assert [row.text for row in store.examples("bot", 0, math.inf, now - KEEP, 10)] == ["new one"]
    keeper.forget(store)
    assert [row.text for row in kept(store)] == ["new one"]


def test_a_history_that_is_away_costs_texts_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def keep(self, examples: Sequence[Example]) -> None:
            raise OSError("no disk for 'secret words'")

        def forget(self, before: float) -> int:
            raise OSError

    keeper = Keeper(config(per_window=WAITING + 10), clock=lambda: NOW)
    keeper.take(prompts(*["secret words"] * (WAITING + 5)), scores([0.01] * (WAITING + 5)), lambda model: "B")
    with caplog.at_level(logging.INFO):
        keeper.write(Away())
        keeper.forget(Away())
    assert [getattr(record, "fields", {}).get("texts") for record in caplog.records if "dropped" in record.message] == [WAITING + 5]
    assert "secret words" not in caplog.text
    assert not any("secret words" in str(record.__dict__) for record in caplog.records)


def test_what_waits_is_written_at_the_end(store: Store) -> None:
    keeper, stop = Keeper(config(), clock=lambda: NOW), threading.Event()
    keeper.take(prompts("last words"), scores([0.01]), lambda model: "B")
    stop.set()
    keeper.run(store, stop)
    assert [row.text for row in kept(store)] == ["last words"]


def test_what_stands_for_most_comes_first_and_near_duplicates_are_left_out() -> None:
    letters = [
        "please book a flight to the coast",
        "book me a flight to the sea",
        "please book a flight to the coast!",
        "flight booking to the hills",
    ]
    rows = ranked([*(example(text, 0.002) for text in letters), example("zither tuning quirks", 0.002), example("odd duck", 0.04)])
    assert {row["text"] for row in rows if row["cluster"] == 1} <= set(letters)
    assert rows[0]["cluster_size"] == 4
    assert sum(row["repeats"] for row in rows) == 6 - len(rows) == 1
    gains = {row["cluster"]: row["gain"] for row in rows}
    assert list(gains) == sorted(gains)
    assert len(gains) == 3
    assert list(gains.values()) == sorted(gains.values(), reverse=True)
    assert sum(gains.values()) <= 1.0001
    assert {row["label"] for row in rows} == {None}
    assert ranked([]) == []
    assert len(ranked([example("!"), example("?")])) == 2


class Texts(Rows):
    """A history with texts."""

    def examples(self, *asked: float | str) -> Sequence[Example]:
        self.asked.append(asked)
        return [example("book a flight"), example("tune a zither", 0.04)]


@pytest.mark.asyncio
async def test_the_route_needs_the_token_and_the_setting() -> None:
    rows = Texts()
    stage = make(queries=lambda: rows, keep_text=KEEP)
    async with connected(stage) as client:
        assert (await client.get("/v1/curation?model=bot")).status_code == 401
        assert rows.asked == []
        answer = await client.get("/v1/curation?model=bot&since=2026-01-01&until=2026-01-02T00:00:00Z&limit=1", headers=AUTH)
    assert answer.status_code == 200, answer.text
    assert [row["text"] for row in answer.json()["examples"]] == ["book a flight"]
    assert rows.asked == [("bot", 1767225600.0, 1767312000.0, NOW - KEEP, 1500)]
    async with connected(make(queries=lambda: rows)) as client:
        off = await client.get("/v1/curation?model=bot", headers=AUTH)
    assert (off.status_code, off.json()["detail"]) == (404, "no text is stored: curation.store_text is none")


class Behind(Texts):
    """A history with texts and one closed incident."""

    def incident(self, id: str) -> Incident | None:
        return incident(id=id, stream="far_share", closed=NOW - 60, slice="acme") if id == "old" else None

    def examples(self, *asked: float | str, **more: object) -> Sequence[Example]:
        self.asked.append((*asked, more))
        return [example("book a flight"), example("tune a zither", 0.04, far=False)]


@pytest.mark.asyncio
async def test_examples_of_an_incident_need_the_token_the_setting_and_the_incident() -> None:
    rows = Behind()
    held = make(queries=lambda: rows, keep_text=KEEP, show_examples=True)
    mix = incident(id="mix", stream="topic_mix", grew=[3, -1])
    length = incident(id="length", stream="length", grew=[2])
    held.state["status"] = status(incidents=(mix, length, incident(id="ood")))
    async with connected(held) as client:
        assert (await client.get("/v1/incidents/mix/examples")).status_code == 401
        assert rows.asked == []
        answers = {
            id_: (await client.get(f"/v1/incidents/{id_}/examples?limit=5", headers=AUTH)).json() for id_ in ("mix", "length", "ood", "old")
        }
        assert (await client.get("/v1/incidents/none/examples", headers=AUTH)).status_code == 404
        one = (await client.get("/v1/incidents/mix")).json()
        page = (await client.get("/")).text
    periods = {"since": NOW - 3000, "kept": NOW - KEEP}
    asked = [
        ("support-bot", periods["since"], math.inf, periods["kept"], 1500, {"slice": None, "topics": topics})
        for topics in ([3, -1], None, None)
    ]
    assert rows.asked == [*asked, ("support-bot", NOW - 3000, NOW - 60, NOW - KEEP, 1500, {"slice": "acme", "topics": None})]
    assert {row["text"] for row in answers["ood"]["examples"]} == {"book a flight", "tune a zither"}
    assert [row["text"] for row in answers["old"]["examples"]] == ["book a flight"]  # of far prompts the far ones
    assert "least familiar" in answers["mix"]["note"]
    assert "nothing kept with them says which" in answers["length"]["note"]
    assert (answers["ood"]["note"], answers["old"]["note"]) == (None, None)
    assert one["grew"] == [3, -1]
    assert "book a flight" not in page + json.dumps(one)
    async with connected(make(queries=lambda: rows, keep_text=KEEP)) as client:
        off = await client.get("/v1/incidents/mix/examples", headers=AUTH)
    assert (off.status_code, off.json()["detail"]) == (404, "no examples are shown: explain.examples is none")


def test_kept_texts_are_found_by_slice_and_topic(store: Store) -> None:
    keeper = Keeper(config(), clock=lambda: NOW)
    keeper.take([Prompt("1", "strange of acme", NOW, "bot", "acme"), *prompts("of nobody")], scores([0.02, 0.02]), lambda model: "B")
    keeper.write(store)
    store.keep([example("kept before topics were")])

    def found(**wanted: object) -> list[str]:
        return [row.text for row in store.examples("bot", 0, math.inf, 0, 10, **wanted)]  # type: ignore[arg-type]

    assert found(slice="acme") == ["strange of acme"]
    assert sorted(found(topics=[0])) == ["of nobody", "strange of acme"]
    assert found(topics=[-1, 4]) == []
    assert len(found()) == 3


def test_an_incident_is_told_in_lines_that_no_terminal_obeys() -> None:
    before, after = [round(1 / 15, 5)] * 15, [0.1, *[0.06429] * 14]
    row = asdict(incident(p_values_before=before, p_values_after=after, change_low=NOW - 3000))
    lines = list(details(row))
    assert lines[0] == "support-bot ood_share: page, critical, open"
    assert any("95% interval" in line for line in lines)
    assert any(line.split() == ["-", *["grew:", "refund", "card", "+2.1", "points"]] for line in lines)
    assert [line.split()[:5] for line in lines if " to 0.001" in line] == [["0", "to", "0.001", "6.7%", "10.0%"]]
    assert len([line for line in lines if "#" in line]) == 15
    told = list(texts({"note": "only some", "examples": ranked([example("odd \x1b[31m duck\nquacks")])}))
    assert told[1] == "  note: only some"
    assert told[2].endswith("p 0.010: odd [31m duck quacks")
    assert "\x1b" not in "".join(told)


def test_nothing_is_kept_unless_it_is_switched_on() -> None:
    settings = Config.model_validate({"source": {"kind": "http"}, "models": {"bot": {"bundle": "b"}}})
    assert settings.curation.store_text == "none"
    assert settings.curation.keep == KEEP


def test_lines_are_ready_for_labelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.main import curate_command

    asked = []

    def call(method: str, url: str, path: str, token_file: Path | None) -> object:
        asked.append((method, path))
        return {"examples": ranked([example("größe"), example("zither")])}

    monkeypatch.setattr(curate_command, "call", call)
    curate_command.fetch("my bot", tmp_path / "l.jsonl", "2026-01-01T00:00:00+01:00", None, 5, "http://x", None)
    assert asked == [("GET", "/v1/curation?model=my+bot&limit=5&since=2026-01-01T00%3A00%3A00%2B01%3A00")]
    rows = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert {row["text"] for row in rows} == {"größe", "zither"}


class TwoBundles(StubScoring):
    shadow = StubScoring({"bot": "new"})


def test_after_promotion_texts_are_kept_by_the_bundle_in_force() -> None:
    rows = [
        Prompt(str(i), text, 0.0, model) for i, (text, model) in enumerate([("strange 1", "bot"), ("plain 2", "bot"), ("strange 3", "b")])
    ]
    scoring = TwoBundles()
    scores = scoring.score(rows)
    second = replace(scores, strange=~scores.strange)
    scoring.shadow.score = lambda prompts: second  # type: ignore[method-assign]
    for in_force, strange, bundle in (
        ("bundle-of-bot", [True, False, True], "bundle-of-bot"),
        (None, [True, False, True], "bundle-of-bot"),
        ("new", [False, True, True], "new"),
    ):
        found, bundles = judged(rows, scores, scoring, lambda name, digest=in_force: digest)  # type: ignore[misc]
        assert found.strange.tolist() == strange
        assert (bundles("bot"), bundles("b")) == (bundle, "bundle-of-b")
