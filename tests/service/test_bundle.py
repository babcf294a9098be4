"""A bundle is checked before it is used: every way it can be wrong has its message."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from detectors.calibration import Calibration
from service.bundle import (
    ENCODER_GRAPH,
    MANIFEST,
    SCHEMA,
    SCORER_GRAPH,
    TOPIC_NAMES,
    Bundle,
    Counts,
    EncoderSettings,
    Manifest,
    Settings,
    TopicInfo,
    sha256,
)
from service.bundle import encoder_digest as digest_of
from service.bundle.bundle import save_calibration, save_manifest, save_topics, save_vocabulary
from service.bundle.detection import RATES, detection, said
from service.bundle.names import rename
from service.errors import ConfigError
from service.vocabulary import Vocabulary

COUNTS = Counts(
    rows=500,
    empty=3,
    unlabelled=0,
    distinct=490,
    clusters=480,
    groups=0,
    reference=380,
    calibration=100,
    calibration_effective=97.0,
    left_out=0,
)
SETTINGS = Settings(
    text="text",
    label=None,
    group=None,
    seed=0,
    reference_max=10,
    calibration_from="split",
    neighbours=5,
    density_weight=0.6,
    head="topics",
    head_weight=0.3,
)
ENCODER = EncoderSettings(id="tiny", revision="r1", source="built", dimension=4, max_length=16, pooling="mean")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A directory with right digests; the graphs are not opened by load."""
    path = tmp_path / "bundle"
    path.mkdir()
    for name in (ENCODER_GRAPH, SCORER_GRAPH, "tokenizer.json", "reference.bin", "report.html"):
        (path / name).write_bytes(name.encode())
    save_calibration(path / "calibration.safetensors", Calibration.fit(np.arange(100.0)))
    save_topics(path / "topics.json", [TopicInfo(("card", "lost"), 0.75), TopicInfo((), 0.25)])
    write_manifest(path)
    return path


def write_manifest(path: Path, **changes: object) -> None:
    files = {file.name: sha256(file) for file in sorted(path.iterdir()) if file.name != MANIFEST}
    manifest = Manifest(
        schema=SCHEMA,
        encoder=ENCODER,
        encoder_digest=digest_of(files, ENCODER),
        counts=COUNTS,
        settings=SETTINGS,
        truncated=0.01,
        scripts={"LATIN": 1.0},
        topics=2,
        nulls={"strange": 0.09, "far": 0.03},
        delta=0.01,
        warnings=["only few rows"],
        files=files,
    )
    save_manifest(path / MANIFEST, manifest.rewritten(**changes))


def edit(path: Path, **changes: object) -> None:
    content = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(content | changes))


def test_a_whole_bundle_loads(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    assert loaded.digest == sha256(bundle / MANIFEST)
    assert loaded.topics == (TopicInfo(("card", "lost"), 0.75), TopicInfo((), 0.25))
    assert loaded.nulls == {"strange": 0.09, "far": 0.03}
    assert loaded.calibration.scores.size == 100
    assert loaded.encoder_digest == loaded.manifest.encoder_digest
    assert Bundle.load(str(bundle)).digest == loaded.digest


def test_the_list_of_words_is_read_and_a_bundle_may_have_none(bundle: Path) -> None:
    assert Bundle.load(bundle).vocabulary is None
    allowed = Vocabulary.fit({"card": 12, "lost": 40, "straße": 11}, 100)
    save_vocabulary(bundle / "words.json", allowed)
    write_manifest(bundle)
    assert Bundle.load(bundle).vocabulary == allowed
    save_vocabulary(bundle / "words.json", Vocabulary.fit({}, 100))
    write_manifest(bundle)
    assert Bundle.load(bundle).vocabulary == Vocabulary((), (), 100)
    for broken in ("", "[]", '{"rows": 3}', '{"rows": 3, "words": [["card"]]}', '{"rows": 3, "words": [["card", "many"]]}'):
        (bundle / "words.json").write_text(broken)
        write_manifest(bundle)
        with pytest.raises(ConfigError, match="not a list of words"):
            Bundle.load(bundle)


def test_another_user_may_read_every_file(bundle: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in bundle.iterdir()}
    assert len(set(modes.values())) == 1, modes


def test_detection_says_what_slices_cost_and_what_is_never_told_from_chance() -> None:
    table = detection(0.0625)
    assert table.never == pytest.approx(0.0175 / 0.75)
    for reach in table.rates.values():
        for delays in reach:
            assert [delay.median == math.inf for delay in delays[:2]] == [True, True]
            assert [said(delay, table.never) for delay in delays[:2]] == ["never", "never"]
            assert all(a.median >= b.median for a, b in pairwise(delays[2:]))
        assert all(a.median <= b.median <= c.median for a, b, c in zip(*reach, strict=True))
    slow, middle, fast = (table.rates[speed] for speed in RATES)
    assert slow.inside[3].median > 20 * slow.alone[3].median
    assert slow.alone[2].median > middle.alone[2].median >= fast.alone[2].median
    assert detection.__wrapped__(0.0625) == table


def test_description_says_what_matters(bundle: Path) -> None:
    text = Bundle.load(bundle).describe()
    assert "prompts that move to one topic of median size" in text
    assert "embedding_shift: how large a share" in text
    for part in (
        "tiny r1",
        "500 read, 3 empty",
        "380 rows",
        "worth 97",
        "strange at most 9.00%",
        "warning      only few rows",
        "card lost",
        "50 prompts/s",
        "A rise of 6.0 points or less is never told from chance",
        "(no word may be shown)",
    ):
        assert part in text


@pytest.mark.parametrize(
    "name", [ENCODER_GRAPH, SCORER_GRAPH, "tokenizer.json", "reference.bin", "calibration.safetensors", "topics.json", "report.html"]
)
def test_a_changed_byte_is_noticed_in_every_file(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(
        ConfigError, match=rf"bundle/{name}: changed since it was fitted \(sha256 [0-9a-f]{{12}}, the manifest says [0-9a-f]{{12}}\)"
    ):
        Bundle.load(bundle)


def test_a_missing_file_is_named(bundle: Path) -> None:
    (bundle / SCORER_GRAPH).unlink()
    with pytest.raises(ConfigError, match=r"scorer\.onnx: missing from the bundle"):
        Bundle.load(bundle)
    write_manifest(bundle)
    with pytest.raises(ConfigError, match=r"manifest\.json: files: scorer\.onnx is not listed"):
        Bundle.load(bundle)


def test_a_newer_schema_is_refused(bundle: Path) -> None:
    edit(bundle, schema=SCHEMA + 1, something_new=True)
    with pytest.raises(
        ConfigError, match=r"manifest\.json: schema 3 is newer than this program's 2; upgrade tiltmeter or fit the bundle again"
    ):
        Bundle.load(bundle)


def test_a_bundle_put_together_with_another_encoder_is_refused(bundle: Path) -> None:
    (bundle / ENCODER_GRAPH).write_bytes(b"another graph")
    edit(bundle, files=json.loads((bundle / MANIFEST).read_text())["files"] | {ENCODER_GRAPH: sha256(bundle / ENCODER_GRAPH)})
    with pytest.raises(ConfigError, match="the bundle was fitted with another encoder"):
        Bundle.load(bundle)
    edit(bundle, encoder=ENCODER.model_dump() | {"max_length": 32})
    with pytest.raises(ConfigError, match="the bundle was fitted with another encoder"):
        Bundle.load(bundle)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"manifest\.json: no such file; expected a directory made by `tiltmeter fit`"):
        Bundle.load(tmp_path)
    for content in ("", "[]", "{}", "not json", "\xff"):
        (tmp_path / MANIFEST).write_bytes(content.encode("latin-1"))
        with pytest.raises(ConfigError, match=r"manifest\.json: not a bundle's manifest"):
            Bundle.load(tmp_path)


def test_unknown_and_missing_keys_are_named(bundle: Path) -> None:
    edit(bundle, surprise=1)
    with pytest.raises(ConfigError, match=r"manifest\.json: surprise: Extra inputs are not permitted"):
        Bundle.load(bundle)
    write_manifest(bundle)
    content = json.loads((bundle / MANIFEST).read_text())
    del content["counts"]["rows"]
    (bundle / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"manifest\.json: counts\.rows: Field required"):
        Bundle.load(bundle)


def test_names_that_leave_the_directory_are_refused(bundle: Path) -> None:
    edit(bundle, files=json.loads((bundle / MANIFEST).read_text())["files"] | {"../secret": "0" * 64})
    with pytest.raises(ConfigError, match=r"files: '\.\./secret' lies outside the bundle"):
        Bundle.load(bundle)


def test_parts_that_do_not_fit_together(bundle: Path) -> None:
    write_manifest(bundle, topics=3)
    with pytest.raises(ConfigError, match=r"topics\.json: 2 topics, the manifest says 3"):
        Bundle.load(bundle)
    (bundle / "calibration.safetensors").write_bytes(b"no tensors")
    write_manifest(bundle)
    with pytest.raises(ConfigError, match=r"calibration\.safetensors: "):
        Bundle.load(bundle)


def test_names_of_topics_stand_outside_the_digest(bundle: Path) -> None:
    before = Bundle.load(bundle)
    rename(bundle, before.digest, 2, 1, "Größe der Karte")
    rename(bundle, before.digest, 2, 0, "x" * 60)
    after = Bundle.load(bundle)
    assert after.digest == before.digest
    assert after.topics == (TopicInfo(("x" * 60,), 0.75), TopicInfo(("Größe", "der", "Karte"), 0.25))
    assert after.fitted == before.topics
    assert "Größe der Karte" in after.describe()
    rename(bundle, before.digest, 2, 0, "")
    rename(bundle, before.digest, 2, 1, " ")
    assert Bundle.load(bundle).topics == before.topics
    assert not (bundle / TOPIC_NAMES).exists()


@pytest.mark.parametrize(
    ("index", "name", "message"),
    [
        (2, "new", "topic 2 does not exist; expected 0 to 1"),
        (-1, "new", "topic -1 does not exist"),
        (0, "x" * 61, "has 61 characters; expected 1 to 60"),
        (0, "two\nlines", "cannot be shown"),
        (0, "red \x1b[31m", "cannot be shown"),
        (0, "turned \u202e round", "cannot be shown"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(bundle: Path, index: int, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rename(bundle, Bundle.load(bundle).digest, 2, index, name)
    assert not (bundle / TOPIC_NAMES).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a file of topic names"),
        ('{"bundle": "DIGEST", "names": {"one": "x"}}', "not a file of topic names"),
        ('{"bundle": "0123", "names": {"0": "x"}}', "names the topics of another bundle"),
        ('{"bundle": "DIGEST", "names": {"7": "x"}}', "topic 7 does not exist"),
        ('{"bundle": "DIGEST", "names": {"0": 5}}', "a topic's name holds"),
    ],
)
def test_broken_names_are_a_configuration_error(bundle: Path, content: str, message: str) -> None:
    (bundle / TOPIC_NAMES).write_text(content.replace("DIGEST", Bundle.load(bundle).digest))
    with pytest.raises(ConfigError, match=f"topic_names.json: {message}"):
        Bundle.load(bundle)
