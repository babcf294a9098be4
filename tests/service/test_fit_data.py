"""Reading, near duplicates and the split, without any encoder."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.calibration import STRANGE, Calibration
from detectors.scores import DensityKnn
from service.errors import DataError
from service.fit.collect import NONE, FieldNames, Rows, collect
from service.fit.duplicates import clusters
from service.fit.head import topic_count
from service.fit.progress import Lines, Silent
from service.fit.scripts import script_shares
from service.fit.split import CALIBRATION_MAX, RUN, split, split_given
from service.fit.words import topic_words


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, *, label: str | None = None, group: str | None = None, distinct_max: int = 1000) -> Rows:
    return collect([path], FieldNames(None, label, group), 0, Silent(), distinct_max=distinct_max)


def rows_of(texts: list[str], groups: list[int] | None = None, counts: list[int] | None = None) -> Rows:
    n = len(texts)
    group = np.array(groups if groups is not None else [NONE] * n)
    count = np.array(counts if counts is not None else [1] * n)
    return Rows(texts, np.arange(n), group, np.full(n, NONE), count, int(group.max()) + 1, [], int(count.sum()), 0, 0, 0)


def test_equal_rows_are_one_entry(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        [
            {"text": "one", "y": "a", "g": 1},
            {"text": "one", "y": "a", "g": 1},
            {"text": "one", "y": "b", "g": 1},
            {"text": "two", "g": 2},
            {"text": "  ", "g": 3},
        ],
    )
    rows = read(path, label="y", group="g")
    assert list(rows.texts) == ["one", "two"]
    assert list(zip(rows.text.tolist(), rows.group.tolist(), rows.label.tolist(), rows.count.tolist(), strict=True)) == [
        (0, 0, 0, 2),
        (0, 0, 1, 1),
        (1, 1, NONE, 1),
    ]
    assert (rows.rows, rows.empty, rows.unlabelled, rows.label_names) == (5, 1, 1, ["a", "b"])


def test_a_field_no_row_has_is_named_with_those_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "one", "intent": "a"}])
    with pytest.raises(DataError, match=r"a\.jsonl: --label 'class': no row has this field; the fields of the first row are: intent, text"):
        read(path, label="class")
    with pytest.raises(DataError, match=r"--group '/meta/user': no row has this field"):
        read(path, group="/meta/user")


def test_a_row_without_text_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "one"}, {"question": "two", "id": 2}])
    with pytest.raises(DataError, match=r"a\.jsonl:2: none of the fields text, prompt, messages; the fields there are: id, question"):
        read(path)


def test_more_texts_than_fit_are_sampled_by_hash_whatever_their_order(tmp_path: Path) -> None:
    texts = [{"text": f"text number {i}"} for i in range(1000)]
    kept = read(write(tmp_path / "a.jsonl", texts * 2), distinct_max=100)
    other = read(write(tmp_path / "b.jsonl", texts[::-1]), distinct_max=100)
    assert len(kept.texts) == 100
    assert set(kept.texts) == set(other.texts)
    assert (kept.rows, kept.dropped + int(kept.count.sum())) == (2000, 2000)


@pytest.mark.slow
def test_one_text_a_million_times(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = json.dumps({"text": "the same again and again"}) + "\n"
    with path.open("w") as file:
        for _ in range(100):
            file.write(line * 10_000)
        file.writelines(json.dumps({"text": f"another text {i}"}) + "\n" for i in range(300))
    rows = read(path)
    assert (rows.rows, len(rows.texts), rows.text.size) == (1_000_300, 301, 301)
    divided = split(rows, clusters(rows.texts), seed=0, reference_max=1000)
    # The repeated text does not fit into 20,000 calibration rows; in the reference it counts once.
    assert 0 in divided.reference.tolist()
    assert 0 not in divided.calibration.tolist()
    assert divided.reference.size + np.unique(divided.calibration).size == 301


def jaccard(a: str, b: str) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        import re

        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}

    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_clusters_are_the_near_duplicates_by_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(6):
        words = [f"w{i}" for i in rng.integers(0, 30, size=rng.integers(1, 60))]
        texts.append(" ".join(words))
        for _ in range(2):
            changed = words.copy()
            changed[rng.integers(len(words))] = "other"
            texts.append(" ".join(changed) + rng.choice(["", "!", " ?"]))
    found = clusters(texts)
    linked = np.array([[jaccard(a, b) >= 0.9 for b in texts] for a in texts])
    for _ in range(5):
        linked = linked @ linked
    np.testing.assert_array_equal(found[:, None] == found[None, :], linked)


def test_short_texts_are_duplicates_only_with_the_same_words() -> None:
    assert clusters(["hello there", "Hello,  THERE!", "hello", "there hello", "", "?"]).tolist() == [0, 0, 1, 2, 3, 4]
    assert clusters([]).tolist() == []


def test_two_hundred_thousand_variants_of_one_text_stay_cheap() -> None:
    found = clusters(["all of these are the very same prompt " + "." * (i % 500) + "!" * (i // 500) for i in range(50_000)])
    assert found.max() == 0


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), grouped=st.booleans())
def test_split_keeps_groups_and_clusters_whole(seed: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 200
    cluster = np.unique(rng.integers(0, 150, size=n), return_inverse=True)[1]
    # Groups of neighbouring clusters, so that near duplicates tie some groups but not all.
    groups = (cluster // 4).tolist() if grouped else None
    rows = rows_of([str(i) for i in range(n)], groups, rng.integers(1, 4, size=n).tolist())
    divided = split(rows, cluster, seed=seed, reference_max=1000)
    held = set(divided.calibration.tolist())
    for names in (cluster, *([rows.group] if grouped else [])):
        sides = [{int(i) in held for i in np.flatnonzero(names == name)} for name in np.unique(names)]
        assert all(len(side) == 1 for side in sides)
    # Repeats stay in calibration and leave the reference.
    assert divided.calibration.size == sum(int(rows.count[i]) for i in held)
    assert divided.calibration.size <= 0.2 * rows.count.sum()
    assert np.unique(cluster[divided.reference]).size == divided.reference.size
    assert set(cluster[divided.reference].tolist()) | {int(cluster[i]) for i in held} == set(cluster.tolist())


def test_without_groups_neighbouring_rows_are_held_out_together() -> None:
    n = 4_000
    divided = split(rows_of([str(i) for i in range(n)]), np.arange(n), seed=0, reference_max=n)
    runs = divided.calibration.reshape(-1, RUN)
    assert (runs == runs[:, :1] + np.arange(RUN)).all()
    assert np.unique(divided.unit).size == len(runs) == 0.2 * n / RUN
    # A small set has too few rows for long runs.
    small = split(rows_of([str(i) for i in range(300)]), np.arange(300), seed=0, reference_max=n)
    assert np.unique(small.unit).size == small.calibration.size == 60


def unit_rows(rng: np.random.Generator, people: int, each: int) -> np.ndarray:
    """Vectors of ``each`` rows by every one of ``people``, who says much the same again and again."""
    rows = np.repeat(rng.normal(size=(people, 16)), each, axis=0) + 0.3 * rng.normal(size=(people * each, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_what_new_people_write_is_flagged_within_the_bound_when_rows_of_one_hand_stand_together() -> None:
    shares, bounds = {}, {}
    for shuffled in (False, True):
        found = []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            vectors, new = unit_rows(rng, 500, 5), unit_rows(rng, 3_000, 1)
            if shuffled:
                vectors = rng.permutation(vectors)
            rows = rows_of([str(i) for i in range(len(vectors))])
            divided = split(rows, np.arange(len(vectors)), seed=seed, reference_max=len(vectors))
            knn = DensityKnn.fit(vectors[divided.reference])
            calibration = Calibration.fit(knn.score(vectors[divided.calibration]), divided.unit)
            found.append(((calibration.p_values(knn.score(new)) <= STRANGE).mean(), calibration.pac_bound(STRANGE, 0.005)))
        shares[shuffled], bounds[shuffled] = np.array(found).T
    assert (shares[False] <= bounds[False]).all()
    assert abs(shares[False].mean() - STRANGE) < 0.02
    # Shuffled, nobody can tell whose rows they are, and the bound does not hold for new people.
    assert (shares[True] > bounds[True]).all()


def test_the_draw_depends_on_the_seed_alone() -> None:
    rows, cluster = rows_of([str(i) for i in range(300)]), np.arange(300)
    one, same, other = (split(rows, cluster, seed=seed, reference_max=1000) for seed in (1, 1, 2))
    assert one.calibration.tolist() == same.calibration.tolist() != other.calibration.tolist()


def test_calibration_and_reference_have_their_limits() -> None:
    n = 150_000
    divided = split(rows_of([str(i) for i in range(n)]), np.arange(n), seed=0, reference_max=1000)
    assert (divided.calibration.size, divided.reference.size) == (CALIBRATION_MAX, 1000)
    assert divided.left_out == n - CALIBRATION_MAX - 1000


def test_a_text_that_every_group_says_does_not_tie_them_together() -> None:
    texts = ["hi"] + [f"question {i}" for i in range(100)]
    text = np.concatenate([np.zeros(50, np.int64), 1 + np.arange(100)])
    group = np.concatenate([np.arange(50), np.repeat(np.arange(50), 2)])
    rows = Rows(texts, text, group, np.full(150, NONE), np.ones(150, np.int64), 50, [], 150, 0, 0, 0)
    divided = split(rows, np.arange(101), seed=0, reference_max=1000)
    assert not divided.loosened
    assert divided.calibration.size == 30
    assert 0 in divided.reference.tolist()
    assert 0 in divided.calibration.tolist()


def test_groups_chained_by_near_duplicates_are_taken_apart_and_it_is_said() -> None:
    n = 100
    cluster = np.repeat(np.arange(n // 2), 2)
    rows = rows_of([str(i) for i in range(n)], [((i + 1) // 2) % 50 for i in range(n)])
    divided = split(rows, cluster, seed=0, reference_max=1000)
    assert divided.loosened
    assert divided.calibration.size == 20


def test_too_few_units_to_hold_out() -> None:
    with pytest.raises(DataError, match="the group field has 3 values; at least 5 are needed"):
        split(rows_of([str(i) for i in range(300)], [i % 3 for i in range(300)]), np.arange(300), seed=0, reference_max=10)
    with pytest.raises(DataError, match="no calibration rows can be held out: 300 rows are 3 groups or clusters"):
        split(rows_of([str(i) for i in range(300)]), np.arange(300) % 3, seed=0, reference_max=10)


def test_given_calibration_rows_push_their_near_duplicates_out_of_the_reference() -> None:
    rows, held = rows_of(["a", "b", "c"]), rows_of(["d", "b2"], counts=[1, 3])
    divided = split_given(rows, held, np.array([0, 1, 2, 3, 1]), seed=0, reference_max=10)
    assert divided.reference.tolist() == [0, 2]
    assert divided.calibration.tolist() == [3, 4, 4, 4]
    with pytest.raises(DataError, match="nothing is left for the reference"):
        split_given(rows, held, np.array([0, 0, 0, 0, 0]), seed=0, reference_max=10)


def test_reference_takes_the_most_frequent_label_of_a_cluster() -> None:
    n = 50
    texts = [str(i) for i in range(n)]
    text = np.concatenate([np.arange(n), np.arange(n)])
    label = np.concatenate([np.zeros(n, np.int64), np.ones(n, np.int64)])
    count = np.concatenate([np.ones(n, np.int64), np.where(np.arange(n) % 2, 3, 1)])
    rows = Rows(texts, text, np.full(2 * n, NONE), label, count, 0, ["x", "y"], int(count.sum()), 0, 0, 0)
    divided = split(rows, np.arange(n), seed=0, reference_max=1000)
    assert divided.label.tolist() == [i % 2 for i in divided.reference.tolist()]


def test_topic_words_leave_out_rare_words_names_and_numbers() -> None:
    texts, topic = [], []
    for i in range(60):
        texts.append(f"please block my lost card number 4111{i} for Zorblatt and Maria {'unicorn' if i < 9 else ''}")
        topic.append(0)
        texts.append("transfer money to savings for Zorblatt says Maria" + (" payroll" if i < 20 else ""))
        topic.append(1)
    source = np.arange(120)
    source[[1 + 2 * i for i in range(20)]] = 0  # all payroll rows come from one group
    named, allowed = topic_words(texts, np.array(topic), 3, source, lambda word: word != "savings")
    assert named[0] == ("block", "card", "lost", "number")
    assert named[1] == ("money", "says", "transfer")
    assert named[2] == ()
    rows = dict(zip(allowed.words, allowed.rows, strict=True))
    assert rows == dict.fromkeys(("block", "card", "lost", "number", "money", "says", "transfer"), 60)
    assert allowed.total == 120


def test_scripts_are_a_light_guess() -> None:
    assert script_shares(["hello", "bonjour", "привет", "123", "你好"]) == {"LATIN": 0.4, "CJK": 0.2, "CYRILLIC": 0.2, "NONE": 0.2}


def test_number_of_topics_grows_with_the_root() -> None:
    assert [topic_count(n) for n in (3, 160, 12_000, 1_000_000)] == [2, 13, 110, 300]


def test_lines_of_progress_come_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    now = [0.0]
    advance = Lines(sys.stdout, clock=lambda: now[0]).stage("embedding", 5000)
    for _ in range(5):
        now[0] += 4
        advance(1000)
    assert capsys.readouterr().out.splitlines() == ["embedding: 5,000", "embedding: 3,000 of 5,000"]


def test_calibration_files_with_one_text_only() -> None:
    with pytest.raises(DataError, match="all 30 calibration rows are one group or nearly the same text"):
        split_given(rows_of(["a", "b"]), rows_of(["c"], counts=[30]), np.array([0, 1, 2]), seed=0, reference_max=10)
