"""The schema of values: its own part is written by hand, the part below `config` is made from the service's settings."""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from service.config import Config

_BY_THE_CHART = {"Http": ("host", "port")}
_NOT_IN_A_POD = {"source": ("file",)}


class _Written(GenerateJsonSchema):
    """Settings as people write them: durations and budgets are numbers or words."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """The inner type, or text."""
        found = super().function_before_schema(schema)
        if getattr(schema["function"]["function"], "__name__", "") in ("_seconds", "_budget"):
            found["type"] = ["number", "string"]
        return found


def config_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """Schema of the file as the chart takes it, and of its sections by name. What the chart sets itself is not in it."""
    schema = Config.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Written)
    sections: dict[str, Any] = schema.pop("$defs")
    for section, names in _BY_THE_CHART.items():
        for name in names:
            del sections[section]["properties"][name]
    del schema["properties"]["instance"]
    # An empty chart is linted too; that a model is needed is told when it is rendered.
    schema["required"].remove("models")
    del schema["properties"]["models"]["minProperties"]
    for name, field in schema["properties"].items():
        if "oneOf" in field:
            schema["properties"][name] = _by_kind(field, _NOT_IN_A_POD.get(name, ()), sections)
    return _plain(schema), {name: _plain(section) for name, section in sections.items()}


def _by_kind(field: dict[str, Any], left_out: tuple[str, ...], sections: dict[str, Any]) -> dict[str, Any]:
    """One schema for each kind, chosen by `kind`: a mistake is then told of the kind that was meant, and not of all."""
    kinds = {kind: ref for kind, ref in field["discriminator"]["mapping"].items() if kind not in left_out}
    for kind in left_out:
        sections.pop(field["discriminator"]["mapping"][kind].rsplit("/", 1)[1])
    default = next((kind for kind, ref in kinds.items() if ref.endswith("SqlLedger")), None)
    chosen = [
        {"if": {"properties": {"kind": {"const": kind}}, **({} if kind == default else {"required": ["kind"]})}, "then": {"$ref": ref}}
        for kind, ref in kinds.items()
    ]
    whole = {"type": "object", "description": field["description"], "properties": {"kind": {"enum": list(kinds)}}, "allOf": chosen}
    return whole if default else {**whole, "required": ["kind"]}


def _plain(schema: Any) -> Any:
    """Without what only repeats the names or the documentation."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _plain(value) for key, value in schema.items() if not (key in ("title", "default", "format") and isinstance(value, str))}
    return {key: value for key, value in kept.items() if key != "default" or isinstance(value, dict)}


def whole(path: Path) -> str:
    """The file with the part below `config` made anew, as text."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["properties"]["config"], schema["definitions"] = config_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
