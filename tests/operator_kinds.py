"""Closed schemas of the Prometheus operator's kinds (monitoring.coreos.com/v1), from its API reference: the fields that the chart uses.

The operator's own definitions are not packaged where tests could read them; a field that is not here, or of another type, is an error.
"""

from typing import Any

Schema = dict[str, Any]

_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION: Schema = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}


def _closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


_RELABELING = _closed(
    action={
        "enum": [
            "replace",
            "keep",
            "drop",
            "hashmod",
            "labelmap",
            "labeldrop",
            "labelkeep",
            "lowercase",
            "uppercase",
            "keepequal",
            "dropequal",
        ]
    },
    modulus={"type": "integer"},
    regex={"type": "string"},
    replacement={"type": "string"},
    separator={"type": "string"},
    sourceLabels={"type": "array", "items": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}},
    targetLabel={"type": "string"},
)
_ENDPOINT = _closed(
    ("port",),
    port={"type": "string"},
    path={"type": "string"},
    interval=_DURATION,
    scrapeTimeout=_DURATION,
    relabelings={"type": "array", "items": _RELABELING},
    metricRelabelings={"type": "array", "items": _RELABELING},
)
_SELECTOR = _closed(matchLabels=_TEXTS, matchExpressions={"type": "array"})
_NAMESPACES = _closed(any={"type": "boolean"}, matchNames={"type": "array", "items": {"type": "string"}})
_RULE = _closed(
    ("expr",),
    alert={"type": "string"},
    record={"type": "string"},
    expr={"type": ["string", "integer"]},
    **{"for": _DURATION},
    keep_firing_for={**_DURATION, "minLength": 1},
    labels=_TEXTS,
    annotations=_TEXTS,
)
_GROUP = _closed(
    ("name",),
    name={"type": "string", "minLength": 1},
    interval=_DURATION,
    limit={"type": "integer"},
    query_offset=_DURATION,
    partial_response_strategy={"type": "string"},
    labels=_TEXTS,
    rules={"type": "array", "items": _RULE},
)
_SPECS = {
    "ServiceMonitor": _closed(
        ("endpoints", "selector"), endpoints={"type": "array", "items": _ENDPOINT}, selector=_SELECTOR, namespaceSelector=_NAMESPACES
    ),
    "PodMonitor": _closed(
        ("selector",), podMetricsEndpoints={"type": "array", "items": _ENDPOINT}, selector=_SELECTOR, namespaceSelector=_NAMESPACES
    ),
    "PrometheusRule": _closed(groups={"type": "array", "items": _GROUP}),
}
_METADATA = _closed(("name",), name={"type": "string", "maxLength": 253}, namespace={"type": "string"}, labels=_TEXTS, annotations=_TEXTS)

KINDS = {
    kind: _closed(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind={"const": kind},
        metadata=_METADATA,
        spec=spec,
    )
    for kind, spec in _SPECS.items()
}
