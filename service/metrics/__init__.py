"""Every metric of the service: what there is, what is read, and how it is exported; read at scrape time, never per prompt.

The rooms above publish snapshots of plain numbers; ``service.main`` turns them into a :class:`Reading`, and the collector turns one reading
into metric families. Nothing here is a global: every process (and every test) makes its own registry.
"""

from service.metrics.asking import AskedReading, EndpointReading
from service.metrics.catalogue import CLOSED_AS, DEFINITIONS, KINDS, LEVELS, SEVERITIES, SHADOW_STAGES, STAGES, STATES, VERSION, names
from service.metrics.collector import registry
from service.metrics.definition import Definition
from service.metrics.probes import GateReading, ProbeReading, ProbeStreamReading, ProbeSuiteReading
from service.metrics.readings import (
    AnnotationReading,
    DeciderReading,
    IncidentReading,
    ModelReading,
    Reading,
    SeverityReading,
    ShadowReading,
    StreamReading,
    WorkerCounts,
    WorkerReading,
)
from service.metrics.timing import BUCKETS, OF_ANSWERS, Timing

__all__ = [
    "BUCKETS",
    "CLOSED_AS",
    "DEFINITIONS",
    "KINDS",
    "LEVELS",
    "OF_ANSWERS",
    "SEVERITIES",
    "SHADOW_STAGES",
    "STAGES",
    "STATES",
    "VERSION",
    "AnnotationReading",
    "AskedReading",
    "DeciderReading",
    "Definition",
    "EndpointReading",
    "GateReading",
    "IncidentReading",
    "ModelReading",
    "ProbeReading",
    "ProbeStreamReading",
    "ProbeSuiteReading",
    "Reading",
    "SeverityReading",
    "ShadowReading",
    "StreamReading",
    "Timing",
    "WorkerCounts",
    "WorkerReading",
    "names",
    "registry",
]
