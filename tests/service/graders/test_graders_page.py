"""docs/graders.md names every grader with every parameter, as service/config/graders.py has them."""

import re
from pathlib import Path

from service.config.graders import GRADERS, name_of
from service.graders.rubrics import RUBRICS
from service.graders.schema import KEYWORDS


def test_every_grader_stands_there_with_its_parameters_in_order(root: Path) -> None:
    page = (root / "docs/graders.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page.partition("## Every grader")[2].partition("**Ids.**")[0], re.MULTILINE))
    names = {name_of(grader): [field.alias or name for name, field in grader.model_fields.items() if name != "type"] for grader in GRADERS}
    assert list(rows) == list(names)
    assert {name: re.findall(r"`(\w+)`", cell) for name, cell in rows.items()} == names


def test_every_rubric_and_keyword_of_a_schema_is_named(root: Path) -> None:
    page = (root / "docs/graders.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in RUBRICS)
    named = page.partition("**Schemas.**")[2].partition("\n\n")[0]
    assert all(re.search(rf"(?<!\w){re.escape(keyword)}(?!\w)", named) for keyword in KEYWORDS)
