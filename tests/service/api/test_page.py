"""What the status page says in each situation, and that nothing from outside gets into its markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from web import NOW, history, incident, slices, status, stream, whole_model

from detectors.sketch import BIN_WIDTHS
from service.api import plot, words
from service.api.headline import headline
from service.api.page import status_page
from service.api.view import History, Monitor, Status

VOID = {"meta", "link", "br", "path", "circle", "rect", "line", "polyline", "polygon"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed where it should be; collects text and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def parsed(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def monitor(**changes: Any) -> Monitor:
    return replace(status().monitor, **changes)


def sentence(shown: Status) -> tuple[str, str]:
    found = headline(shown)
    return found.word, found.sentence


def test_a_page_tells_to_get_up_since_when_how_sure_what_and_who() -> None:
    shown = status("critical", streams=(stream(state="page"),), incidents=(incident(),))
    assert sentence(shown) == ("Critical", "Get up: support-bot has changed.")
    page = status_page(shown)
    for part in (
        "Wed 31 Dec 23:33 UTC",
        "10<sup>7.2</sup> of 10<sup>5.4</sup>",
        "5.4% → 9.8%",
        "team-assist",
        "grew: refund card +2.1 points",
    ):
        assert part in page
    assert page.index("Get up") < page.index("Open incidents") < page.index("<h2>Models")


def test_who_is_on_it_once_acknowledged() -> None:
    shown = status("critical", incidents=(incident(acknowledged=NOW, acknowledged_by="ada"),))
    assert sentence(shown) == ("Critical", "support-bot has changed. ada is on it.")


def test_a_warning_wakes_nobody() -> None:
    shown = status("warning", incidents=(incident(level="ticket", severity="warning"),))
    assert sentence(shown) == ("Warning", "Nobody needs to get up. Look at support-bot in working hours.")


def test_blind_is_never_calm() -> None:
    shown = status(monitor=monitor(blind=("source: broker:9092: NoBrokersAvailable",)))
    assert sentence(shown) == ("Blind", "The monitor cannot see production.")
    page = status_page(shown)
    assert "NoBrokersAvailable" in page
    assert "The monitor is blind" in page
    assert ">calm<" not in page


def test_blind_does_not_hide_a_page() -> None:
    shown = status("critical", incidents=(incident(),), monitor=monitor(blind=("decider: no reports",)))
    assert sentence(shown)[0] == "Critical"
    assert "The monitor is blind" in status_page(shown)


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (("ok", "ok"), "Calm"),
        (("learning", "learning"), "Learning"),
        (("idle", "learning"), "Learning"),
        (("idle", "insufficient"), "Quiet"),
        (("learning", "insufficient"), "Quiet"),
        (("ok", "idle"), "Calm"),
    ],
)
def test_what_is_not_known_is_said(states: tuple[str, ...], word: str) -> None:
    assert sentence(status(streams=[stream(state=state) for state in states]))[0] == word


@pytest.mark.parametrize(
    ("states", "pill"),
    [(("learning", "learning"), "learning"), (("idle", "learning"), "learning"), (("insufficient",), "too little to judge by")],
)
def test_what_is_not_promised_yet_is_not_green(states: tuple[str, ...], pill: str) -> None:
    nothing = {"ticket": None, "page": None}
    shown = status(streams=[stream(state=state, thresholds=nothing) for state in states])
    assert headline(shown).tone == "quiet"
    page = status_page(shown)
    assert f'<span class="pill quiet">{pill}</span>' in page
    assert 'class="verdict quiet"' in page
    assert ">calm<" not in page
    assert "Calm" not in page


def test_calm_says_what_it_does_not_cover() -> None:
    assert headline(status()).detail == "Production looks like what the models were fine-tuned for, as far as can be told."
    tickets = status(streams=[stream(thresholds={"ticket": 4.3, "page": None})])
    assert headline(tickets).detail.endswith("as far as can be told. Only tickets may open, no page.")
    fresh = replace(tickets.models[0], name="fresh-bot", streams=(stream(state="learning"),))
    both = replace(status(), models=(*status().models, fresh))
    assert headline(both).tone == "none"
    assert headline(both).detail.endswith("What is normal for fresh-bot is still learned: no alarm can come from there yet.")


def test_before_any_stream_is_known_the_page_does_not_say_calm() -> None:
    shown = status(streams=())
    shown = replace(shown, models=(replace(shown.models[0], streams=()),), monitor=monitor(decider="starting"))
    assert sentence(shown) == ("Starting", "Nothing is known yet.")


def test_a_standby_says_so() -> None:
    assert sentence(status(monitor=monitor(decider="standby")))[0] == "Standby"


def test_signs_of_life_turn_red_with_age() -> None:
    assert "class=bad" not in status_page(status())
    assert "class=bad>last flush <b>10 min</b> ago" in status_page(status(monitor=monitor(last_flush=NOW - 600)))
    assert "class=bad" not in status_page(status(monitor=monitor(last_flush=NOW - 1e6, watermark=NOW - 1e6, event_clock=True)))


def test_every_page_is_well_formed_and_asks_nothing_of_another_host() -> None:
    closed = incident(id="c", closed=NOW - 100, closed_by="recovery", verdict="recovered", severity="none")
    for shown in (
        status("critical", incidents=(incident(),), recent=(closed,)),
        status(streams=(stream(history=History.empty(), share=None),)),
    ):
        addresses = parsed(status_page(shown)).addresses
        assert all(address.startswith(("/", "data:")) for address in addresses), addresses


def test_names_from_outside_are_escaped() -> None:
    nasty = '"><script>alert(1)</script>'
    shown = status("critical", incidents=(incident(explanation=nasty, owner=nasty, id=nasty, acknowledged_by=nasty, model_name=nasty),))
    page = status_page(replace(shown, models=(replace(shown.models[0], name=nasty, owner=nasty, note=nasty),)))
    assert "<script" not in page
    parsed(page)


def test_the_ticket_of_a_stream_that_pages_is_a_line_in_the_card_of_the_page() -> None:
    page, ticket = incident(), incident(id="the-ticket", level="ticket", severity="warning")
    other = incident(id="another-stream", stream="far_share", level="ticket", severity="warning")
    shown = status_page(status("critical", incidents=(ticket, page, other)))
    parsed(shown)
    assert shown.count('<div class="line1">') == 2
    assert shown.count(">the-ticket<") == shown.count(">another-stream<") == 1
    assert status_page(status("critical", incidents=(ticket, other))).count('<div class="line1">') == 2


@pytest.mark.parametrize(("apart", "labels"), [(60, ["page"]), (12_000, ["page", "ticket"])])
def test_the_name_of_a_ticket_gives_way_to_a_page_beside_it(apart: float, labels: list[str]) -> None:
    page = plot.Mark(NOW - 3000, NOW - 2500, None, "page", "page")
    ticket = replace(page, opened=page.opened - apart, level="ticket", label="ticket")
    drawn = plot.share_plot(history(), 0.0586, 0.0536, [page, ticket], 60, "support-bot")
    assert re.findall(r'class="flag \w+"[^>]*>(\w+)<', drawn) == labels
    assert drawn.count('class="opened') == 2


def test_what_wakes_somebody_is_above_what_does_not_and_many_are_folded() -> None:
    tickets = [incident(id=f"ticket-{i}", slice=f"s{i}", level="ticket", severity="warning", opened=NOW - 9000 + i) for i in range(20)]
    page = status_page(status("critical", incidents=(*tickets, incident(id="the-page"))))
    parsed(page)
    order = re.findall(r'<code id="[^"]*">((?:ticket-|the-page)[^<]*)</code>', page)
    assert order == ["the-page", *(f"ticket-{i}" for i in range(20))]
    assert page.index("ticket-5<") < page.index("<summary>14 more</summary>") < page.index("ticket-6<")


def test_each_stream_has_its_place() -> None:
    page = status_page(status(streams=whole_model()))
    parsed(page)
    assert page.count("<figure>") == 2 * 4 + 1, "share and evidence; combined has evidence alone"
    assert page.count('<table class="rows">') == 1
    table = page[page.index('<table class="rows">') :]
    assert re.findall(r"<tr><td[^>]*>([^<]+)<small>", table) == ["No known topic", "Language", "Length", "Cut off", "Volume"]
    assert "<b>5.1%</b> about roaming sim abroad (4.0% to 6.0%)" in page
    assert "Tickets at most: fewer than two streams may page." in page
    assert "ticket 10<sup>0.0</sup> of 10<sup>4.9</sup>" in table


def test_streams_that_wait_for_a_baseline_are_named_and_do_not_make_the_model_a_learner() -> None:
    shown = status(streams=whole_model(learned=False))
    page = status_page(shown)
    parsed(page)
    waiting = "topic mix, embedding shift, combined, no known topic, language, length, cut off, volume"
    assert f"Not watched before a baseline is accepted: {waiting}." in page
    assert "Tickets at most" not in page
    assert page.count("<figure>") == 2 * 2
    assert '<span class="pill none">calm</span>' in page
    assert headline(shown).word == "Calm"
    assert "Topics and the embedding of support-bot are not watched before a baseline is accepted." in headline(shown).detail


def test_a_rise_and_a_fall_are_held_against_their_own_side() -> None:
    assert "normal up to 5.9%" in status_page(status(streams=[stream(stream="topic_mix")]))
    assert "normal from 4.1%" in status_page(status(streams=[stream(stream="topic_mix", null=0.041)]))


def test_the_worst_slices_come_first_and_most_are_folded() -> None:
    page = status_page(status("critical", streams=[stream(), *slices(50)]))
    parsed(page)
    names = re.findall(r'<tr><td data-name="Slice">([^<]+)</td>', page)
    assert names[:2] == ["tenant-03", "tenant-07"]
    assert len(names) == 50
    assert names[-1] == "tenant-49", "nothing comes from it"
    assert page.count("<details>") == 1
    assert "<summary>40 more slices</summary>" in page
    assert len(re.findall('data-name="Slice"', page[: page.index("<details>")])) == 10
    assert len(page) < 80_000


def test_a_slice_shows_the_stream_that_is_nearer_to_an_alarm() -> None:
    def shown(strange: float, far: float) -> str:
        pair = [
            stream(stream=name, counted=counted, slice="acme", evidence={"page": value})
            for name, counted, value in (("ood_share", "strange", strange), ("far_share", "far off", far))
        ]
        return "far" if "far off" in status_page(status(streams=[stream(), *pair])) else "strange"

    assert shown(0.1, 0.4) == "strange", "noise does not choose"
    assert shown(0.1, 4.0) == "far"
    assert shown(4.5, 4.0) == "strange"


def test_what_can_be_named_is_said_first_and_all_together_is_a_line_of_it() -> None:
    def page(stream: str, opened: float, **more: Any) -> Any:
        return incident(id=f"the-{stream}", stream=stream, opened=opened, explanation=f"words of {stream}", **more)

    found = (page("combined", NOW - 300), page("embedding_shift", NOW - 300), page("topic_mix", NOW - 200))
    ticket = incident(id="a-ticket", stream="combined", level="ticket", severity="warning")
    shown = status("critical", streams=whole_model(), incidents=(*found, ticket))
    assert headline(shown).detail == "words of topic_mix"
    html = status_page(shown)
    parsed(html)
    assert html.count('<div class="line1">') == 2
    assert re.search(
        r'· combined page since [^<]+<code id="the-combined">the-combined</code> · combined ticket since [^<]+<code id="a-ticket">',
        html,
    )
    alone = status_page(status("critical", incidents=(found[0], ticket)))
    assert alone.count('<div class="line1">') == 1
    other = page("far_share", NOW - 900, model_name="quiet-bot")
    assert headline(status("critical", incidents=(*found, other))).detail == "words of far_share", "the oldest model first"


def test_an_incident_of_a_slice_is_told_from_that_of_the_whole() -> None:
    whole, ticket = incident(), incident(id="t", level="ticket", severity="warning", slice="acme")
    page = status_page(status("critical", streams=[stream(state="page"), *slices(3)], incidents=(whole, ticket)))
    assert page.count('<div class="line1">') == 2, "the ticket of a slice is not a line of the page of the whole"
    assert "support-bot / acme: strange prompts" in page
    assert page.count('class="flag ticket"') == 0


def test_names_of_slices_and_topics_are_escaped() -> None:
    nasty = '"><script>alert(1)</script>'
    shown = [stream(counted=nasty, why=nasty, slice=where, stream=name) for where in ("", nasty) for name in ("ood_share", "language")]
    page = status_page(status("critical", streams=shown, incidents=(incident(slice=nasty),)))
    assert "<script" not in page
    parsed(page)


def test_the_card_of_an_incident_draws_p_values_before_and_since() -> None:
    before, after = BIN_WIDTHS.round(5).tolist(), [0.031, *BIN_WIDTHS[1:-1].round(5).tolist(), 0.07]
    page = status_page(status("critical", incidents=(incident(p_values_before=before, p_values_after=after),)))
    parsed(page)
    assert page.count('class="bar"') == 15
    assert "p at most 0.01: 1.0% before, 4.0% since; p at most 0.05: 5.0% before, 8.0% since" in page
    tops = [float(y) for y in re.findall(r'class="bar"[^>]* y="([0-9.]+)"', page)]
    assert tops.index(min(tops)) in range(6, 14)
    assert tops[0] < tops[1]
    old = incident(p_values_before=before, p_values_after=after, closed=NOW - 60, closed_by="recovery", verdict="recovered")
    assert "<details><summary>How strange prompts were</summary><figure" in status_page(status(recent=(old,)))
    parsed(status_page(status(recent=(old,))))
    assert 'class="bar"' not in status_page(status("critical", incidents=(incident(),)))


def test_plots_show_reference_thresholds_and_incidents() -> None:
    marks = [plot.Mark(NOW - 9000, NOW - 8000, NOW - 7000, "page", "page")]
    share = plot.share_plot(history(), 0.0586, 0.0536, marks, 60, "support-bot")
    assert 'class="level null"' in share
    assert 'class="span page"' in share
    assert re.search(r'class="y null" style="top:[\d.]+%">5.9%<', share)
    assert "normal up to 5.9%" in status_page(status())
    evidence = plot.evidence_plot(history(), 4.3, 5.4, marks, 60, "support-bot")
    assert evidence.count('class="level ') == 2
    assert "10<sup>5.4</sup>" in evidence
    ticket_only = plot.evidence_plot(history(), 4.3, None, [], 60, "support-bot")
    assert 'class="line page"' not in ticket_only


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 500), st.floats(0, 1)), max_size=60), st.booleans())
def test_any_history_can_be_drawn(rows: list[tuple[int, int, float]], marked: bool) -> None:
    rows = sorted({row[0]: row for row in rows}.values())
    n = np.array([row[1] for row in rows], np.int64)
    x = np.array([int(row[1] * row[2]) for row in rows], np.int64)
    drawn = History(np.array([row[0] * 60 for row in rows], np.int64), n, x, x.astype(np.float32), n.astype(np.float32))
    marks = [plot.Mark(-1e9, 3000.0, None, "ticket", "ticket")] if marked else []
    for figure in (plot.share_plot(drawn, 0.05, 0.04, marks, 60, "m"), plot.evidence_plot(drawn, 4.0, 5.0, marks, 60, "m")):
        parsed(figure)
        assert "nan" not in figure.lower()
        for points in re.findall(r'points="([^"]+)"', figure):
            for pair in points.split():
                x_place, y_place = map(float, pair.split(","))
                assert -1 <= x_place <= plot.WIDTH + 1
                assert -0.1 <= y_place <= plot.HEIGHT + 0.1


def test_no_line_is_drawn_where_nothing_is_known() -> None:
    whole = history(windows=100)
    gap = History(*(np.delete(getattr(whole, name), np.s_[40:60]) for name in ("start", "n", "x", "ticket", "page")))
    assert plot.share_plot(whole, 0.05, 0.04, [], 60, "m").count("polyline") == 1
    drawn = plot.share_plot(gap, 0.05, 0.04, [], 60, "m", until=NOW + 6000)
    assert drawn.count("polyline") == 2
    last = float(re.findall(r"<polyline[^>]* ([\d.]+),[\d.]+\"/>", drawn)[-1])
    assert last < plot.WIDTH * 0.51, "time runs on to the watermark"


def test_bins_keep_every_prompt_and_the_highest_evidence() -> None:
    whole = history(windows=1440)
    joined = plot.bins(whole, 60)
    assert joined.time.size <= plot.POINTS + 1
    assert joined.n.sum() == whole.n.sum()
    assert np.isclose((joined.n * joined.share).sum(), whole.x.sum())
    assert joined.page.max() == whole.page.max()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (99, "99 s"), (120, "2 min"), (5999, "1 h 40 min"), (7200, "2 h"), (12000, "3 h 20 min"), (4e5, "5 days")],
)
def test_spans_in_words(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


def test_one_day_and_many() -> None:
    assert [words.days(number) for number in (0, 1, 14, 1440)] == ["0 days", "1 day", "14 days", "1,440 days"]
