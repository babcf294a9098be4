"""What the stream benchmarks work out side by side is what the detectors say one by one."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import changes
from benchmarks.changes import campaign, constant, learned, oracle, paged, ramp
from benchmarks.drawing import Picture, draw
from benchmarks.embedding_nulls import DAY, RATES, Bets, Recursions
from benchmarks.pictures import CHANGES
from detectors.embedding_baseline import HOURS, EmbeddingLearner
from detectors.embedding_shift import EmbeddingShift
from detectors.features import FEATURES
from detectors.sketch import FIXED_POINT

HOUR = 60
IMAGES = Path(__file__).parents[2] / "docs" / "images"


def windows(rng: np.random.Generator, count: int, apart: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    n = rng.integers(150, 250, count)
    mean = 0.2 * np.sin(np.arange(FEATURES)) + apart * np.cos(np.arange(FEATURES))
    noise = np.sqrt(n / 2)[:, None] * rng.normal(size=(count, FEATURES))
    return n, np.rint(FIXED_POINT * (n[:, None] * mean + noise)).astype(np.int64)


@pytest.mark.parametrize("apart", [0.0, 0.05])
def test_days_of_embeddings_give_the_evidence_of_the_detector(apart):
    rng, learner = np.random.default_rng(1), EmbeddingLearner()
    for week in range(3):
        for hour in range(HOURS):
            for n, sums in zip(*windows(rng, 15), strict=True):
                learner.add(week, hour, int(n), sums)
    baseline = learner.fit(0.002)
    hour = np.arange(DAY) // HOUR
    n, sums = windows(rng, DAY, apart)
    bets, shift = Bets(baseline), EmbeddingShift.fit(baseline, *RATES)
    ratios, recursions = bets.increments(hour, n, sums), Recursions(bets.weights[None])
    crossings = 0
    for minute in range(DAY):
        said = shift.update(int(hour[minute]), int(n[minute]), sums[minute])
        loose, page = recursions.update(minute, ratios[minute][None])[:, 0]
        assert (bool(loose), bool(page)) == (bool(said.ticket[0]), bool(said.page[0])), minute
        crossings += int(said.ticket[0])
    assert (crossings > 10) == (apart > 0)


def test_an_oracle_that_knows_the_size_is_faster_and_the_start_is_told():
    baselines = learned("iid", 20, seed=1)
    found = paged("iid", baselines, constant(0.05), seed=2)
    known = oracle("iid", 0.05, 10.0, 20, seed=2)
    assert np.median(known) <= np.median(found.waited) <= 12
    assert found.coverage >= 0.8
    assert found.missed == 0


def test_a_change_that_never_comes_is_missed(monkeypatch):
    monkeypatch.setattr(changes, "HORIZON", 300)
    found = paged("inside", learned("inside", 5, seed=1), constant(0.0), seed=2)
    assert found.missed == 1
    assert np.isnan(found.coverage)


def test_ramp_and_campaign_follow_their_course():
    assert [ramp(window) for window in (0, 179, 1000)] == pytest.approx([0.1 / 36, 0.05, 0.1])
    assert [campaign(window) for window in (0, 9, 10, 179, 180)] == [0.3, 0.3, 0.0, 0.0, 0.3]


def test_a_picture_marks_the_crossing_after_the_change():
    drawn = Picture(
        "ood_share", "more < before", "page", "strange", [0.1] * 4, 0.05, True, [9, 1, 2, 7], {"far_share": [0, 0, 1, 3]}, 5.0, 1
    )
    assert drawn.delay == 3
    tree = ElementTree.fromstring(draw(drawn))
    words = [element.text for element in tree.iter() if element.text]
    assert "page after 3 min" in words
    assert "ood_share: more < before" in words


def test_every_picture_of_a_stream_is_whole():
    for name in CHANGES:
        file = IMAGES / f"stream-{name}.svg"
        assert file.stat().st_size < 30_000
        assert ElementTree.parse(file).getroot().find("{http://www.w3.org/2000/svg}title").text == name
