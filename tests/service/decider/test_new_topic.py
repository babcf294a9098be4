"""A new topic in words, from sketches to incident and verdict; and the words that nobody may see."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
from decider_log import LENGTH, NULLS, START, TOPICS, VOCABULARY, Log, history, settings, sketch, spoken

from detectors.words import NO_WORDS, SESSIONS, code, count_codes
from service.decider.decider import Decider, Watched
from service.decider.new_topic import OPENING
from service.decider.spoken import ENTRIES, KEPT, Spoken

QUIET, LOUD = (25, 25, 24, 24, 2), (20, 20, 15, 15, 30)


class Production:
    """An accepted baseline, a quiet hour, then prompts outside all topics."""

    def __init__(self, vocabulary=VOCABULARY, usual=None):
        self.decider = Decider({"bot": Watched("B", NULLS, TOPICS, "team", vocabulary=vocabulary)}, settings())
        self.log, self.at = Log(), START
        self.log.command("baseline.learn", **history(28)).command("baseline.accept", model="bot", reason="quiet")
        self.incidents, self.verdicts = {}, []
        usual = usual if usual is not None else {"prompts": 2, "card": 1}
        self.play(60, QUIET, strange=3, **usual)

    def play(self, windows, topics, strange, words=None, **counts):
        for i in range(windows):
            prompts = counts.get("prompts", 0)
            held = {word: count for word, count in counts.items() if word != "prompts"}
            made = spoken(prompts, 3 * i, **held) if words is None else words(i)
            self.log.delta(self.at, sketch(100, strange, strange // 4, topics, made)).report(self.at + LENGTH + 30)
            self.at += LENGTH
        self.decider.absorb(self.log.drain())
        for step in self.decider.close_due(None):
            self.incidents |= {incident.id: incident for incident in step.incidents}
            self.verdicts += step.verdicts
        return self

    def told(self):
        """What each incident says of a new topic."""
        found = (re.search(rf"{OPENING}[^;]*", incident.explanation) for incident in self.incidents.values())
        return {match.group() for match in found if match}

    def shown(self):
        """Everything that leaves the decider."""
        picture = self.decider.picture(active=True, now=self.at)
        return json.dumps([repr(picture), *map(repr, self.incidents.values()), *map(repr, self.verdicts)])


def test_words_more_frequent_than_usual_name_the_new_topic():
    production = Production().play(12, LOUD, strange=30, prompts=30, card=15, refund=24, wallet=12)
    assert production.told() == {"a new topic about: refund, wallet"}, "card was in half of such prompts before"
    paged = [incident for incident in production.incidents.values() if incident.level == "page"]
    assert paged
    assert all("a new topic about: refund, wallet" in incident.explanation for incident in paged)
    newest = {verdict.stream: verdict.explanation for verdict in production.verdicts[-3:]}
    assert any("a new topic about: refund, wallet" in words for words in newest.values()), newest


def test_a_topic_that_is_not_new_has_no_such_words():
    production = Production().play(12, (25, 25, 24, 24, 2), strange=30, prompts=2, card=1)
    assert any(incident.level == "page" for incident in production.incidents.values())
    assert production.told() == set()


def few(prompts, sessions):
    """Thirty prompts a window from everybody; ``loan`` in so many prompts of so many sessions over all windows."""

    def words(i):
        made = [code(-1, j % SESSIONS) for j in range(30)] + [code(1, j % SESSIONS) for j in range(20)]
        mine = [code(3, j % sessions) for j in range(prompts)][i::12]
        return count_codes(np.array(made + mine, np.int64))

    return words


@pytest.mark.parametrize(("prompts", "sessions", "seen"), [(19, 16, False), (60, 4, False), (60, 16, True)])
def test_a_word_of_few_prompts_or_sessions_is_never_shown(prompts, sessions, seen):
    production = Production().play(12, LOUD, strange=30, words=few(prompts, sessions))
    assert any("refund" in told for told in production.told())
    assert ("loan" in production.shown()) is seen


def test_no_word_stands_in_the_state():
    production = Production().play(12, LOUD, strange=30, prompts=30, loan=10)
    state = zlib.decompress(production.decider.snapshot()).decode()
    packed = b"".join(base64.b64decode(part) for part in re.findall(r'"([A-Za-z0-9+/=]{40,})"', state) if len(part) % 4 == 0)
    assert any("loan" in told for told in production.told())
    explained = re.sub(rf"{OPENING} about: [a-z, ]*", "", state)
    assert not any(word in explained or word.encode() in packed for word in VOCABULARY.words), "words are numbers"


def test_words_come_when_enough_is_counted():
    production = Production().play(4, LOUD, strange=30, prompts=3, refund=3)
    assert production.incidents
    assert not any("refund" in told for told in production.told()), "twelve prompts may not be spoken of"
    production.play(40, LOUD, strange=30, prompts=3, refund=3)
    assert production.told() == {"a new topic about: refund"}


def test_records_without_sessions_are_said_to_be_the_reason():
    production = Production(usual={"prompts": 0}).play(12, LOUD, strange=30, prompts=0)
    assert production.told() == {"a new topic without words: too few of its prompts name a session, see fields.session"}


def test_a_bundle_without_a_list_is_said_to_be_the_reason():
    production = Production(vocabulary=None).play(12, LOUD, strange=30, prompts=30, refund=24)
    assert production.told() == {"a new topic without words: the bundle has no list of words that may be shown, fit it again"}
    assert "refund" not in production.shown()


def test_a_topic_whose_words_the_set_never_used_is_said_to_have_none():
    production = Production().play(12, LOUD, strange=30, prompts=30, card=15)
    assert production.told() == {"a new topic that no word of the fine-tuning set tells from other prompts"}


def test_a_restored_decider_says_the_same():
    production, restored = Production(), Production()
    for one in (production, restored):
        one.play(3, LOUD, strange=30, prompts=30, refund=24)
    state = restored.decider.snapshot()
    restored.decider.restore(state)
    assert restored.decider.snapshot() == state
    for one in (production, restored):
        one.play(20, LOUD, strange=30, prompts=30, refund=24, wallet=15)
    assert production.incidents == restored.incidents
    assert production.verdicts == restored.verdicts


def test_what_is_kept_is_bounded_and_what_leaves_it_was_usual():
    spoken_ = Spoken(10)
    for i in range(KEPT + 100):
        spoken_.append(60 * i, count_codes(np.array([code(-1, 0), code(2, 0)])), usual=i % 2 == 0)
    assert spoken_.since(0)[0].sum() == KEPT
    assert spoken_.before(60 * (KEPT + 100)).tolist() == [(KEPT + 100) // 2, 0, 0, (KEPT + 100) // 2, *[0] * 7]
    large = Spoken(100_000)
    for i in range(8):
        large.append(60 * i, count_codes(np.arange(ENTRIES // 4)), usual=True)
    assert large.since(0).sum() == ENTRIES, "four windows of a quarter each"
    spoken_.append(0, NO_WORDS, usual=True)
    again = Spoken(10)
    again.load(spoken_.to_json())
    assert again.to_json() == spoken_.to_json()
    assert np.array_equal(again.before(3000), spoken_.before(3000))
