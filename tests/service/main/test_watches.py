"""From a suite of a pack to the streams that the decider tests."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.config import load
from service.errors import ConfigError
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates": {"release": {"model": "bott"}}}, r"tiltmeter.yaml:\d+: gates.release.model: no such model 'bott'; did you mean 'bot'\?"),
        (
            {"gates": {"release": {"model": "bot", "suites": ["own/sum"]}}},
            r"no such suite 'own/sum'; did you mean 'own/sums'\? expected: own/sums",
        ),
        (
            {"targets": {"live": {"monitors": "bto", "url": "http://h/v1"}}},
            r"tiltmeter.yaml:\d+: targets.live.monitors: no such model 'bto'",
        ),
        ({"probes": {"every": {"own/sum": "1h"}}}, r"probes.every.own/sum: no such suite; did you mean 'own/sums'\?"),
        ({"probes": {"allowed_hosts": ["http://h:8000"]}}, r"probes.allowed_hosts: .* unlike 'http://h:8000'"),
        ({"probes": {"allowed_hosts": ["*.example.com"]}}, r"probes.allowed_hosts: .* without scheme, path and wildcards"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_the_nearest(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "own.yaml").write_text(PACK)
    raw: dict[str, Any] = {
        "source": {"kind": "http"},
        "models": {"bot": {"bundle": str(tmp_path)}},
        "targets": {"live": {"monitors": "bot", "url": "http://127.0.0.1:9/v1"}},
        "probes": {"packs": [str(tmp_path / "own.yaml")]},
    }
    for section, values in changes.items():
        raw[section] = raw.get(section, {}) | values
    (tmp_path / "tiltmeter.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=message):
        Canaries.load(load(tmp_path / "tiltmeter.yaml"))
