"""The schema of packs and the graders as tables: what docs/probes.md holds, so that it cannot differ from the code.

``python -m service.probes.reference`` prints them.
"""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from service.config.graders import GRADERS, name_of
from service.config.reference import default_text, type_name
from service.probes.pack import Asking, Detecting, Item, Pack, Sample, Schedule, Suite, Turn, Variant

SECTIONS: Mapping[str, type[BaseModel]] = {
    "Pack": Pack,
    "`suites`": Suite,
    "`suites.schedule`": Schedule,
    "`suites.sample`": Sample,
    "`suites.detector`": Detecting,
    "`defaults`, `suites.asking`": Asking,
    "`suites.items`, rows of `items_file`": Item,
    "`suites.items.messages`": Turn,
    "`suites.variants.NAME`": Variant,
}


def _rows(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, type_name(field.annotation, field), default_text(field), (field.description or "").replace("|", "\\|")


def _table(titles: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _graders() -> Iterator[tuple[str, ...]]:
    for grader in GRADERS:
        summary = (grader.__doc__ or "").splitlines()[0]
        yield f"`{name_of(grader)}`", "", "", summary
        for name, kind, default, meaning in _rows(grader):
            if name != "type":
                yield f"\u2003`{name}`", kind, default, meaning


def reference() -> str:
    """Every key of a pack and every grader, as Markdown."""
    parts = []
    for title, model in SECTIONS.items():
        rows = ((f"`{name}`", *rest) for name, *rest in _rows(model))
        parts.append(f"### {title}\n\n{_table(('key', 'type', 'default', 'meaning'), rows)}\n")
    parts.append(f"### Graders\n\n{_table(('`type` and its parameters', 'type', 'default', 'meaning'), _graders())}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(reference())
