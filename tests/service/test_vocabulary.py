"""What of a prompt may leave the worker: numbers of words of the list, and one of a few buckets."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from detectors.words import SESSIONS, code
from service.vocabulary import LONGEST, READ, Vocabulary, bucket_of

ALLOWED = Vocabulary.fit({"card": 40, "refund": 12, "wallet": 12, "straße": 10}, 1000)


def test_the_most_frequent_words_come_first_and_are_bounded():
    assert ALLOWED.words == ("card", "refund", "wallet", "straße")
    assert ALLOWED.rows == (40, 12, 12, 10)
    many = Vocabulary.fit({f"w{i}": i for i in range(LONGEST + 50)}, 10_000)
    assert len(many.words) == LONGEST
    assert min(many.rows) == 50


def test_each_word_of_the_list_counts_once_and_no_other():
    bucket = bucket_of("s1")
    found = ALLOWED.codes("A REFUND, a refund! my-wallet 4111 Zorblatt cards Straße", "s1")
    words = {(one - bucket) // SESSIONS - 1 for one in found}
    assert words == {-1, *(ALLOWED.words.index(word) for word in ("refund", "wallet", "straße"))}
    assert len(found) == 4
    assert ALLOWED.codes("secret", "s1") == [code(-1, bucket)]


def test_only_the_beginning_of_a_long_prompt_is_read():
    assert len(ALLOWED.codes("x" * READ + " refund", "s")) == 1


@given(st.text())
def test_a_session_has_one_bucket(session):
    assert 0 <= bucket_of(session) < SESSIONS
    assert bucket_of(session) == bucket_of(session)
    assert 0 <= bucket_of(session + "\ud800") < SESSIONS, "JSON can carry what UTF-8 cannot"


def test_every_process_finds_the_same_bucket():
    told = subprocess.run(
        [sys.executable, "-c", "from service.vocabulary import bucket_of; print([bucket_of(f'session {i}') for i in range(40)])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str([bucket_of(f"session {i}") for i in range(40)])
