"""What the status page says of canary probes in each situation, and that nothing from outside gets into its markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from probe_page import NOW, WORSE, endpoint, many, probe, probed, rounds, suite
from web import incident, stream

from service.api import interval
from service.api.headline import headline
from service.api.page import status_page
from service.api.probe_view import Answers, Gap, GateCard, Left
from service.api.view import Deployed, Status

VOID = {"meta", "link", "path", "circle", "rect", "line", "polyline", "polygon"}
NASTY = '"><script>alert(1)</script>'


class Balanced(HTMLParser):
    """Fails on a tag that is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def page_of(shown: Status) -> str:
    page = status_page(shown)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return page


def pills(page: str) -> list[str]:
    """State and words of every pill of a suite's line, in their order."""
    return re.findall(r'<span class="pill (\w+)"[^>]*>(?:<span class="mark"[^>]*>[^<]*</span>)?[^<]+</span></summary>', page)


def test_without_probes_there_is_no_section() -> None:
    shown = probed()
    assert "Probes" in page_of(shown)
    assert "Probes" not in page_of(replace(shown, models=(replace(shown.models[0], probes=None),)))


@pytest.mark.parametrize(
    ("state", "tone", "mark", "word"),
    [
        ("page", "critical", "✕", "worse: a page is open"),
        ("ticket", "warning", "!", "worse: a ticket is open"),
        ("blind", "blind", "?", "cannot be seen"),
        ("learning", "quiet", "…", "learning its record"),
        ("ok", "none", "✓", "as its record"),
    ],
)
def test_a_state_is_told_by_a_word_and_a_mark_and_not_by_colour_alone(state: str, tone: str, mark: str, word: str) -> None:
    shown = suite(probe(state=state, history=rounds()), blind="no round for 3 intervals" if state == "blind" else "")
    page = page_of(probed(shown))
    assert f'<span class="pill {tone}" title="{state}"><span class="mark" aria-hidden="true">{mark}</span>{word}</span></summary>' in page
    assert ('<details class="suite" open>' in page) == (state in ("page", "ticket"))


def test_no_data_is_said_as_no_data() -> None:
    unknown: dict[str, Any] = {"n": 0, "bad": 0, "share": None, "low": None, "high": None, "null": None, "record": None, "thresholds": {}}
    page = page_of(probed(suite(probe(state="insufficient", **unknown), last=None, rounds=0)))
    assert "<span>no round yet</span>" in page
    assert ">no data</span></summary>" in page
    assert 'class="interval"' not in page
    assert pills(page) == ["quiet"]


def test_a_round_that_was_not_judged_says_why() -> None:
    page = page_of(probed(suite(probe(state="insufficient"), complete=False, reason="budget", incomplete=2)))
    assert "not judged: the budget of the day had no room for it" in page
    assert ">not judged</span></summary>" in page
    assert "31 rounds judged, 2 not judged" in page


def test_a_suite_that_is_not_asked_says_why() -> None:
    page = page_of(probed(suite(), replace(suite(suite="safety/s", kind="safety", last=None), streams=(), blocked="prod: not allowed")))
    assert "<span>prod: not allowed</span>" in page
    assert pills(page) == ["none", "quiet"]


def test_a_share_is_drawn_with_its_interval_against_what_the_record_allows() -> None:
    page = page_of(probed(suite(probe(base=0.03))))
    assert 'aria-label="golden/own: 5.0%, base model 3.0%, held against 14.2%"' in page
    assert "<b>5.0%</b> wrong (1.6% to 11.3%)" in page
    assert "record 5.5% of 400, base model 3.0%" in page
    assert "page 10<sup>0.1</sup> of 10<sup>4.8</sup>" in page
    assert "from 0 to 20%" in page
    drawn = interval.interval_plot(probe(), 0.2, "x")
    assert '<rect class="range" x="80" width="485"' in drawn
    assert '<line class="level null" x1="710"' in drawn


def test_what_is_beyond_the_axis_stays_inside_the_plot() -> None:
    places = re.findall(r'(?:x|x1|x2)="([\d.]+)"', interval.interval_plot(probe(share=1.0, low=0.9, high=1.0, null=0.98), 0.1, "x"))
    assert places
    assert all(0 <= float(place) <= interval.WIDTH for place in places)
    assert interval.scale([]) == 0.1
    assert interval.scale([probe(high=0.99)]) == 1.0


def test_an_attack_is_told_as_an_attack_success_rate_by_category() -> None:
    attacks = [probe(name, "injection/mail", attack=True, counted="attacks that succeeded") for name in ("mail", "web")]
    page = page_of(probed(suite(*attacks, suite="injection/mail", kind="injection")))
    assert "<b>5.0%</b> attack success rate (1.6% to 11.3%)" in page
    assert page.count('<td data-name="Attack success rate"') == 2


def test_a_pair_is_no_share_to_be_held_against_a_null() -> None:
    page = page_of(probed(suite(probe(), probe(stream="probe_paired", null=0.5, counted="wrong where the base model was right"))))
    assert "facts beside the base model" in page
    assert "held against 50.0%" not in page
    assert "from 0 to 20%" in page


def test_a_pair_that_pages_has_a_plot_of_its_evidence_alone() -> None:
    pair = probe(stream="probe_paired", null=0.5, **WORSE)
    page = page_of(probed(suite(pair), streams=(stream(stream="combined"),)))
    assert page.count("<figure>") == 2
    assert "normal up to 50.0%" not in page


def test_of_a_suite_that_is_lost_as_a_whole_the_worst_are_drawn_and_no_row_is_folded() -> None:
    lost = [probe(f"category-{i}", **WORSE) for i in range(5)]
    page = page_of(probed(suite(*lost), streams=(stream(stream="combined"),)))
    assert page.count("<figure>") == 1 + 2 * 2
    assert page.count('<td data-name="Category">') == 3
    assert "more of this suite" not in page


def test_of_fairness_the_gap_and_the_groups_are_told() -> None:
    page = page_of(probed(suite(kind="fairness", gap=Gap(0.25, 0.08, 0.41, "Mehmet", "Ada"))))
    assert "group gap <b>25 points</b> (8 points to 41 points): <b>Mehmet</b> worse than Ada" in page


def test_who_is_on_trial_and_who_is_asked_beside() -> None:
    trial = Answers(60, 27, NOW - 7200, "llama-42")
    page = page_of(probed(suite(probe(trial=trial), beside={"previous": (9, 1), "fallback": (0, 4)})))
    assert "<b>llama-42</b>, 27 of 60 bad, against a record of 5.5% of 400" in page
    assert "beside the previous release: <b>9</b> items only this one got wrong, <b>1</b> only the other" in page
    assert "beside the fallback: <b>0</b>" in page


def test_a_category_that_pages_is_drawn_over_time_and_the_others_are_folded() -> None:
    shown = suite(probe("facts", **WORSE), *(probe(f"other-{i}") for i in range(4)))
    found = incident(stream="probe", slice="prod/golden/own/facts", kind="behaviour", value=0.45, reference=0.055)
    page = page_of(probed(shown, severity="critical", incidents=(found,)))
    section = page[page.index("probes") :]
    assert section.count("<figure>") - 2 * len(re.findall("<h3>Strange", section)) == 2
    assert "<summary>4 more of this suite</summary>" in section
    assert section.index("Evidence for a change") < section.index("4 more of this suite")
    assert page.index('<div class="stream probes">') < page.index("<h3>Strange prompts"), "what is wrong comes first"
    assert "5.5% → 45.0%<small>now 45.0%</small>" in page


def test_what_is_wrong_comes_first() -> None:
    page = page_of(many())
    assert pills(page)[:5] == ["critical", "warning", "blind", "quiet", "none"]
    assert pills(page)[-1] == "quiet"
    assert len(pills(page)) == 13
    assert page.count('<details class="suite" open>') == 2
    assert len(page) < 150_000


def test_judges_have_a_place_of_their_own() -> None:
    calibration = probe("", stream="probe_judge", counted="judged against their label")
    judge = suite(calibration, target="grader", suite="judge/grader", kind="judge")
    page = page_of(probed(judge, suite(), suite(target="canary")))
    assert page.index("<h4>at canary</h4>") < page.index("<h4>at prod</h4>") < page.index("<h4>Judges</h4>") < page.index("judge/grader")


def test_what_is_left_of_the_day() -> None:
    page = page_of(probed(endpoints=(endpoint(), endpoint("base-8b", "base", calls=Left(500, 500), money=Left(0.5, None)))))
    assert "<b>412</b> of 500" in page
    assert "<b>80\u202f000</b> of 200\u202f000" in page
    assert "<b>0.75</b> of 1.00" in page
    assert "no limit, 0.50 spent" in page
    assert "spent for today" in page


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"answers": False}, "does not answer"), ({"paused": 90.0}, "asked to wait 90 s"), ({}, "answers")],
)
def test_an_endpoint_that_is_not_there_is_not_green(changes: dict[str, Any], word: str) -> None:
    page = page_of(probed(endpoints=(endpoint(**changes),)))
    assert f"{word}</span></td>" in page
    assert (f'<span class="pill none"><span class="mark" aria-hidden="true">✓</span>{word}' in page) == (not changes)


@pytest.mark.parametrize(("verdict", "tone"), [("pass", "none"), ("fail", "critical"), ("inconclusive", "quiet")])
def test_a_gate_says_its_verdict_and_why(verdict: str, tone: str) -> None:
    page = page_of(probed(gates=(GateCard("rollout", "B", verdict, "golden/own: not worse", NOW - 60),)))
    assert re.search(rf'rollout<small>stage B</small>.*golden/own: not worse.*<span class="pill {tone}">.*{verdict}', page)


def test_the_deployment_announced_last() -> None:
    assert "<b>llama-42</b>, Wed 31 Dec 23:59 UTC, by ada: new adapter" in page_of(
        probed(deployments=tuple(Deployed("support-bot", name, NOW - 60, "ada", "new adapter") for name in ("llama-41", "llama-42")))
    )


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [("behaviour", "Get up: support-bot answers worse than it did."), ("safety", "Get up: support-bot has become less safe.")],
)
def test_a_page_of_probes_counts_as_one_of_drift(kind: str, sentence: str) -> None:
    found = incident(kind=kind, stream="probe", slice="prod/golden/own/facts")
    said = headline(probed(suite(probe(**WORSE)), severity="critical", kind=kind, incidents=(found,)))
    assert (said.word, said.sentence) == ("Critical", sentence)


def joint(**changes: Any) -> Status:
    host = incident(severity="warning", explanation="9.83% strange; joined at 12:05 UTC by injection/mail: 9 of 20")
    guest = incident(id="the-guest", kind="safety", stream="probe", slice="prod/injection/mail", part_of=host.id, **changes)
    ticket = replace(guest, id="its-ticket", level="ticket", severity="warning", part_of=None)
    return probed(suite(probe(**WORSE)), severity="critical", kind="safety", incidents=(host, ticket), joined=(guest,))


def test_a_joint_incident_is_told_as_one() -> None:
    page = page_of(joint())
    assert headline(joint()).sentence == "Get up: support-bot has changed and has become less safe."
    assert page.count('<div class="line1">') == 1
    assert "page · critical" in page, "as severe as what has joined it"
    assert page.count(">the-guest<") == page.count(">its-ticket<") == 1
    assert "probes prod/injection/mail page since" in page


def test_a_ticket_of_all_prompts_together_is_no_line_of_a_page_of_probes() -> None:
    page = incident(kind="behaviour", stream="probe", slice="prod/golden/own/facts")
    ticket = incident(id="t", stream="combined", level="ticket", severity="warning")
    assert page_of(probed(severity="critical", incidents=(page, ticket))).count('<div class="line1">') == 2


@pytest.mark.parametrize("reason", ["no round for 3 intervals", "prod does not answer", "judge grader drifts"])
def test_probes_that_cannot_be_seen_are_never_calm(reason: str) -> None:
    shown = probed(suite(probe(state="blind"), blind=reason), suite(suite="golden/other"))
    said = headline(shown)
    assert (said.tone, said.word) == ("blind", "Half blind")
    assert said.detail.startswith(f"golden/own: {reason}.")
    page = page_of(shown)
    assert ">calm<" not in page
    assert '<span class="pill blind">half blind</span>' in page


def test_what_is_blind_does_not_hide_a_page() -> None:
    found = incident(kind="behaviour", stream="probe", slice="prod/golden/own/facts")
    shown = probed(suite(probe(state="blind"), blind="no round for 3 intervals"), severity="critical", incidents=(found,))
    assert headline(shown).word == "Critical"


def test_calm_says_how_much_of_the_probes_it_is_about() -> None:
    assert headline(probed()).detail.endswith("Probes are answered as their records say, all 1 suites.")
    learning = suite(probe(state="learning"), suite="golden/new")
    said = headline(probed(suite(), learning))
    assert said.tone == "none"
    assert said.detail.endswith("Probes of 1 of 2 suites are answered as their records say; nothing can be said yet of the others.")


def test_while_prompts_are_learned_probes_may_wake_somebody() -> None:
    nothing = {"ticket": None, "page": None}
    learning = (stream(state="learning", thresholds=nothing),)
    assert headline(probed(streams=learning)).sentence.endswith("Only probes can raise an alarm yet.")
    assert headline(probed(suite(probe(thresholds=nothing)), streams=learning)).sentence.endswith("No alarm can come yet.")


def test_the_nearest_to_a_page_may_be_a_probe() -> None:
    page = page_of(probed(suite(probe(evidence={"page": 4.5}))))
    assert "10<sup>4.5</sup> of 10<sup>4.8</sup><small>support-bot / prod/golden/own/facts</small>" in page


def test_names_of_probes_and_what_endpoints_say_of_themselves_are_escaped() -> None:
    trial = Answers(3, 1, NOW, NASTY + "x" * 500)
    card = probe(NASTY, counted=NASTY, why=NASTY, slice=NASTY, trial=trial, history=rounds())
    loud = [replace(card, state=state, stream=name) for state in ("page", "ok") for name in ("probe", NASTY)]
    shown = suite(*loud, suite=NASTY, target=NASTY, kind=NASTY, reason=NASTY, complete=False, blind=NASTY, beside={NASTY: (1, 1)})
    gap = replace(shown, gap=Gap(0.1, 0.0, 0.2, NASTY, NASTY), target="other", streams=(), blocked=NASTY)
    page = page_of(
        probed(
            shown,
            gap,
            endpoints=(endpoint(NASTY, NASTY, model=NASTY),),
            gates=(GateCard(NASTY, NASTY, NASTY, NASTY, NOW),),
            deployments=(Deployed("support-bot", NASTY, NOW, NASTY, NASTY),),
            incidents=(incident(slice=NASTY), incident(id=NASTY)),
            joined=(incident(id=NASTY + "2", slice=NASTY, part_of=NASTY),),
        )
    )
    assert "<script" not in page
    assert "x" * 100 not in page, "its length is not the endpoint's to choose"
