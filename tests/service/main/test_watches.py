"""From a suite of a pack to the streams that the decider tests."""

from pathlib import Path

import yaml

from service.config import load
from service.main.canaries import Canaries

PACK = """
schema: tiltmeter.pack/v1
id: own
version: 1
license: Apache-2.0
suites:
  - id: sums
    kind: golden
    schedule: {every: 1h}
    detector: {min_effect: 0.2, weight: 3, severity: ticket, critical: true, paired: true, must_have_data: false}
    graders: [{type: contains, any: ["2"]}]
    items: [{id: one, prompt: "1 + 1", category: small}, {id: two, prompt: "19 + 3"}]
"""


def test_every_key_of_a_detector_reaches_the_decider(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    (tmp_path / "own.yaml").write_text(PACK)
    raw = {
        "source": {"kind": "http"},
        "models": {"bot": {"bundle": str(tmp_path), "owner": "team"}},
        "targets": {"live": {"monitors": "bot", "url": url}, "base": {"monitors": "bot", "role": "base", "url": url}},
        "probes": {"packs": [str(tmp_path / "own.yaml")]},
    }
    (tmp_path / "tiltmeter.yaml").write_text(yaml.safe_dump(raw))
    streams = Canaries.load(load(tmp_path / "tiltmeter.yaml")).streams
    assert {(each.suite, each.category, each.items, each.weight) for each in streams} == {
        ("own/sums", "small", 1, 1.5),
        ("own/sums", "sums", 1, 1.5),
    }
    for each in streams:
        assert (each.min_effect, each.severity, each.critical, each.paired, each.must_have_data) == (0.2, "ticket", True, True, False)
        assert each.interval == 3600
