"""Two periods of the history side by side: what is rebuilt from counts, and evidently's page of it."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from detectors.sketch import BINS, LENGTHS, P_VALUE_EDGES, Sketch
from service.bundle import Bundle
from service.decider.closed import Closed
from service.errors import ConfigError, DataError
from service.language import LANGUAGES
from service.main import app
from service.main.periods import ROWS, Span, add_up, apportion, columns
from service.records import DeltaKey
from service.store import Store, WindowRow

DAY = 86_400
MARCH = 1_772_409_600  # 2026-03-02, a Monday


def window(bundle: Bundle, start: int, *, n: int = 100, strange: int = 5, language: str = "english", slice: str = "") -> Closed:
    histogram, topics = np.zeros(BINS, np.int64), np.zeros(len(bundle.topics) + 1, np.int64)
    histogram[[0, -1]] = strange, n - strange
    topics[[0, -1]] = n - strange, strange
    lengths, languages = np.zeros(LENGTHS, np.int64), np.zeros(len(LANGUAGES), np.int64)
    lengths[[2, 5]] = n - strange, strange
    languages[[0, LANGUAGES.index(language)]] += n - strange, strange
    sketch = Sketch(n, strange, strange, 1, 8 * n, 40 * n, histogram, topics, lengths, languages, np.zeros(0, np.int64))
    return Closed(start, {DeltaKey(bundle.digest, "bot", slice, start): sketch}, ())


@pytest.fixture
def config(bundle: Path, tmp_path: Path) -> Path:
    """Two days of history: on the second, strange German prompts."""
    loaded = Bundle.load(bundle)
    store = Store.open(f"sqlite:///{tmp_path}/history.db")
    store.upsert([window(loaded, MARCH + 3600 * hour, n=1500) for hour in range(24)])
    store.upsert([window(loaded, MARCH + DAY + 3600 * hour, strange=40, language="german") for hour in range(24)])
    store.close()
    file = tmp_path / "tiltmeter.yaml"
    file.write_text(f"source: {{kind: http}}\nstore: 'sqlite:///{tmp_path}/history.db'\nmodels: {{bot: {{bundle: {bundle}}}}}\n")
    return file


def report(config: Path, **changes: str) -> Result:
    options = {"model": "bot", "before": "2026-03-02..2026-03-03", "after": "2026-03-03..2026-03-04", "out": str(config.parent / "r.html")}
    arguments = [part for name, value in (options | changes).items() for part in (f"--{name}", value)]
    return CliRunner().invoke(app, ["report", "--config", str(config), *arguments])


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any), st.integers(1, ROWS))
def test_rows_are_in_proportion_to_counts(counts: list[int], rows: int) -> None:
    rows = min(rows, sum(counts))
    made = apportion(np.array(counts), rows)
    assert made.sum() == rows
    exact = np.array(counts) * (rows / sum(counts))
    assert (np.abs(made - exact) < 1 + 1e-6).all()
    assert made[np.array(counts) == 0].sum() == 0


def test_a_small_period_is_rebuilt_exactly(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    rows = [row for hour in range(3) for row in _rows(window(loaded, 3600 * hour, strange=7, language="german"))]
    period = add_up(rows, loaded.digest, "here")
    assert (period.windows, period.n, period.rows, period.truncated) == (3, 300, 300, 3)
    numerical, categorical = columns(period, loaded, 0)
    assert set(numerical) == {"p_value", "score", "tokens"}
    assert (numerical["p_value"] <= P_VALUE_EDGES[0]).sum() == 21
    assert (numerical["score"] > np.quantile(loaded.calibration.scores, 0.99)).sum() == 21
    assert {value: int((numerical["tokens"] == value).sum()) for value in (7.0, 20.0)} == {7.0: 279, 20.0: 21}
    assert categorical["language"].count("german") == categorical["topic"].count("none of these") == 21
    assert categorical["truncated"].count("yes") == 3
    again = columns(period, loaded, 0)
    assert again[1] == categorical
    assert all(np.array_equal(again[0][name], values) for name, values in numerical.items())


def test_a_large_period_is_thinned_in_proportion(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    period = add_up(_rows(window(loaded, 0, n=10**7, strange=10**6)), loaded.digest, "here")
    numerical, categorical = columns(period, loaded, 0)
    assert numerical["p_value"].size == len(categorical["topic"]) == ROWS
    assert categorical["topic"].count("none of these") == ROWS // 10


def test_windows_of_another_bundle_or_an_older_history_are_not_mixed_in(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    [old] = _rows(window(loaded, 0), lengths=None)
    [other] = _rows(window(loaded, 0), bundle="another")
    period = add_up([old, other, *_rows(window(loaded, 60))], loaded.digest, "here")
    assert (period.windows, period.others, period.n) == (2, 1, 200)
    assert period.lengths is None
    assert period.languages is not None
    assert "tokens" not in columns(period, loaded, 0)[0]
    with pytest.raises(DataError, match=r"here: the history has no prompts .*; 1 windows there belong to another bundle"):
        add_up([other], loaded.digest, "here")


def _rows(step: Closed, **changes: object) -> list[WindowRow]:
    made = []
    for key, sketch in step.sketches.items():
        counts = {name: getattr(sketch, name).tolist() for name in ("histogram", "topics", "lengths", "languages")}
        sums = {name: getattr(sketch, name) for name in ("n", "strange", "far", "truncated", "tokens", "characters")}
        place = {"bundle": key.bundle, "model_name": key.model_name, "slice": key.slice, "window_start": key.window}
        made.append(WindowRow(**(place | sums | counts | changes)))  # type: ignore[arg-type]
    return made


def test_a_span_of_time() -> None:
    span = Span.parse("--before", "2026-03-02..2026-03-03T06:30+02:00")
    assert (span.since, span.until) == (MARCH, MARCH + DAY + 4.5 * 3600)
    assert str(span) == "2026-03-02 00:00 to 2026-03-03 04:30 UTC"


@pytest.mark.parametrize("text", ["2026-03-02", "yesterday..today", "2026-03-02..2026-03-03..2026-03-04", "2026-03-03..2026-03-02", ".."])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--after: "):
        Span.parse("--after", text)


def test_without_evidently_it_says_what_to_install(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evidently", None)
    result = report(config)
    assert result.exit_code == 2
    assert "pip install 'tiltmeter[report]'" in result.output


evidently = pytest.mark.skipif(find_spec("evidently") is None, reason="evidently is not installed (extra 'report')")


@evidently
def test_the_page_shows_what_changed_and_loads_nothing(config: Path) -> None:
    result = report(config)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "before: 2026-03-02 00:00 to 2026-03-03 00:00 UTC, 36,000 prompts in 24 windows (20,000 rows, each for 1.8 prompts)" in said
    assert "after: 2026-03-03 00:00 to 2026-03-04 00:00 UTC, 2,400 prompts in 24 windows (2,400 rows)" in said
    page = (config.parent / "r.html").read_text()
    assert "<h1>bot: two periods side by side</h1>" in page
    for column in ("p_value", "score", "tokens", "topic", "language", "truncated"):
        assert f'"{column}"' in page or f"column={column}" in page, column
    assert "german" in page
    assert re.search(r"default-src 'none'", page)
    assert re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?(?:https?:)?//", page) == []
    assert re.findall(r"<link[^>]*\shref=", page) == []
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", page) == []


@evidently
@pytest.mark.parametrize(
    ("changes", "exit_code", "message"),
    [
        ({"before": "2026-02-02..2026-02-03"}, 1, "--before: 2026-02-02 00:00 to 2026-02-03 00:00 UTC: the history has no prompts there"),
        ({"slice": "nobody"}, 1, "the history has no prompts there"),
        ({"model": "other"}, 2, "no model 'other'"),
        ({"after": "now"}, 2, "--after: expected START..END"),
        ({"out": "/nowhere/at/all/r.html"}, 2, "the directory of /nowhere/at/all/r.html does not exist"),
    ],
)
def test_what_cannot_be_reported_is_one_line(config: Path, changes: dict[str, str], exit_code: int, message: str) -> None:
    result = report(config, **changes)
    assert result.exit_code == exit_code, result.output
    assert message in " ".join(result.output.split())
