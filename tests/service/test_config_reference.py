"""docs/configuration.md says what the code does."""

import re
from pathlib import Path

import yaml

from service.config import Config, KafkaLedger, load
from service.config.loading import OURS
from service.config.reference import reference
from service.ledger import topics
from service.source.decode import Reason


def page(root: Path) -> str:
    return (root / "docs" / "configuration.md").read_text()


def test_every_setting_stands_there_with_its_type_default_and_meaning(root: Path) -> None:
    text = page(root)
    assert text.partition("<!-- reference -->\n")[2].strip() == reference().strip(), "run: python -m service.config.reference"


def test_the_smallest_file_is_enough(root: Path, tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(source:.*?)```", page(root), re.S)
    assert block is not None
    path = tmp_path / "c.yaml"
    path.write_text(block[1])
    assert load(path, {}).models["support-bot"].owner == "team-support"


def test_every_reason_of_a_rejection_is_named(root: Path) -> None:
    for reason in Reason:
        assert f"`{reason.value}`" in page(root)


def test_the_commands_that_create_the_topics_are_the_ones_that_are_printed(root: Path) -> None:
    for command in topics.commands(KafkaLedger(bootstrap_servers="BROKER")):
        assert command in page(root)


def test_every_setting_has_a_meaning() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert not [row for row in rows if row.rstrip(" |").endswith("|")]
    names = {line.split("`")[1].split(".")[0] for line in rows}
    assert names == set(Config.model_fields)


def test_options_of_the_example_may_be_set(root: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", page(root), re.S)
    options = yaml.safe_load(blocks[-1])["source"]["options"]
    assert not OURS & set(options)
