"""What in the chart is made from other files is current, and the build says so when it is not."""

import json
import shutil

import jsonschema
import pytest
import yaml

from helm import build
from helm.reference import Undocumented, rows
from parts.helm import CASES, CHART
from service.config import Config


def test_everything_made_is_current():
    assert [str(path) for path in build.stale()] == []


def test_rules_and_dashboards_are_those_of_the_repository():
    for folder, origin in build.COPIES.items():
        names = {path.name for path in folder.iterdir()}
        assert names == {path.name for path in origin.iterdir() if path.suffix in (".yaml", ".json")}
        assert names
        assert all((folder / name).read_bytes() == (origin / name).read_bytes() for name in names)


def test_what_is_stale_is_named_and_written_again(tmp_path, monkeypatch, capsys):
    chart = tmp_path / "helm" / "tiltmeter"
    shutil.copytree(CHART, chart)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "CHART", chart)
    monkeypatch.setattr(build, "COPIES", {chart / "files" / name: origin for name, origin in _origins().items()})
    monkeypatch.setattr("sys.argv", ["build", "--check"])
    assert build.main() == 0
    rule = next((chart / "files" / "rules").iterdir())
    rule.write_text("groups: []")
    (chart / "files" / "dashboards" / "gone.json").write_text("{}")
    values = (chart / "values.yaml").read_text()
    (chart / "values.yaml").write_text(values.replace("replicas: 2", "replicas: 3"))
    capsys.readouterr()
    assert build.main() == 1
    told = capsys.readouterr().out
    for name in (rule.name, "gone.json", "README.md"):
        assert f"{name} is not what it is made from" in told
    monkeypatch.setattr("sys.argv", ["build"])
    assert build.main() == 0
    assert build.stale() == []
    (chart / "values.yaml").write_text(values + "\nunexplained: 1\n")
    assert build.main() == 1
    assert "no comment says what these are: unexplained" in capsys.readouterr().out


def _origins():
    return {folder.name: origin for folder, origin in build.COPIES.items()}


def test_every_value_is_in_the_readme_with_its_default_and_meaning():
    text = (CHART / "README.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    found = list(rows((CHART / "values.yaml").read_text()))
    assert len(found) > 100
    for key, default, meaning in found:
        assert f"| `{key}` | `{default}` | {meaning} |".replace("||", "\\|\\|") in text
        place = values
        for part in key.split("."):
            place = place[part]
        assert json.loads(default) == place


def test_a_value_without_a_comment_is_named():
    with pytest.raises(Undocumented, match=r"a\.c"):
        list(rows("a:\n  # -- Known.\n  b: 1\n  c: 2\n"))
    assert list(rows("# -- Long\n# comment.\na: {b: 1}\n")) == [("a", '{"b": 1}', "Long comment.")]


def test_the_schema_covers_every_value_and_is_closed():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) | {"global"} == set(schema["properties"])
    free = {"global", "podSecurityContext", "securityContext"}
    for name, part in schema["properties"].items():
        if part.get("type") == "object" and name not in free:
            assert part.get("additionalProperties") is False, name
            assert name == "config" or set(part["properties"]) == set(values[name]) or name.endswith("Probe"), name
    assert all(part["additionalProperties"] is False for part in schema["definitions"].values())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(values)


def test_every_setting_of_the_service_may_be_given():
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]["config"]["properties"]) == set(Config.model_fields) - {"instance"}
    assert set(schema["definitions"]["Http"]["properties"]) == {"token_file"}


def test_the_cases_set_most_of_what_there_is():
    """A value that no case sets is a template that no test renders; those left are plain text in one place."""
    keys = {key for key, _, _ in rows((CHART / "values.yaml").read_text())}

    def given(node, prefix=""):
        for key, value in node.items():
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from given(value, f"{prefix}{key}.")

    touched = {key for path in CASES.values() for key in given(yaml.safe_load(path.read_text()))}
    assert {
        "secrets.kafkaTls.certKeyPassword",
        "bundles.fetch.env",
        "networkPolicy.egress",
        "probes.files",
        "gpu.enabled",
    } <= touched & keys
