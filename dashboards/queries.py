"""PromQL by name, kept apart from layout; a metric that service.metrics does not define cannot be asked for."""

from service.metrics import DEFINITIONS, SEVERITIES, STATES, names

_SERIES = names()
_SLICED = {definition.name for definition in DEFINITIONS if "slice" in definition.labels}
_TARGET = 'job=~"$job", instance=~"$instance"'

_SLICE = 'slice=~"${slice:pipe}"'
"""As it stands in the variable: the value of each choice is a pattern already."""


def series(name: str, *matchers: str, model: bool = False) -> str:
    """Selector of one metric for the chosen job, instance and, where it has the labels, model and slice; KeyError for an unknown name."""
    if name not in _SERIES:
        raise KeyError(f"{name} is not a metric of service.metrics")
    chosen = [_TARGET, *(['model_name=~"$model_name"'] if model else []), *([_SLICE] if name in _SLICED else []), *matchers]
    return f"{name}{{{', '.join(chosen)}}}"


def per_second(counter: str, *by: str, model: bool = False) -> str:
    """Rate of a counter, summed over everything but ``by``."""
    return f"sum by ({', '.join(by)}) (rate({series(counter, model=model)}[$__rate_interval]))"


def process(name: str) -> str:
    """Selector of a metric that prometheus-client gives every process."""
    return f"{name}{{{_TARGET}}}"


def _coded(metric: str, label: str, values: tuple[str, ...], by: tuple[str, ...]) -> str:
    """One number per series: the place in ``values`` of the value that is 1 now."""
    selectors = [series(metric, f'{label}="{value}"', model=True) for value in values]
    cases = (f"{selector} * {place}" for place, selector in enumerate(selectors))
    return f"max by ({', '.join(by)}) ({' or '.join(cases)})"


SEVERITY = _coded("tiltmeter_severity", "severity", SEVERITIES, ("model_name", "kind", "owner"))
STATE = _coded("tiltmeter_stream_state", "state", STATES[::-1], ("model_name", "slice", "stream"))

WHOLE = "whole model"
PATTERN_OF_WHOLE = "^$"
_SLICES_NOW = f"count by (slice) ({series('tiltmeter_stream_state', model=True)})".replace(f", {_SLICE}", "")


def _filled(expression: str, label: str, of_slice: str, of_whole: str) -> str:
    """The expression with one label more: for a slice, where $1 is its name, and for the whole model."""
    named = f'label_replace({expression}, "{label}", "{of_slice}", "slice", "(.+)")'
    return f'label_replace({named}, "{label}", "{of_whole}", "slice", "")'


_CHOICES = _filled(_filled(_SLICES_NOW, "text", "$1", WHOLE), "value", r"\\\\Q$1\\\\E", PATTERN_OF_WHOLE)
SLICES = f"query_result({_CHOICES})"
"""Every slice as text and pattern. Grafana could not choose an empty label otherwise; a name between Q and E may hold anything."""
SLICE_CHOICE = '/text="(?<text>[^"]+)".*value="(?<value>[^"]+)"/'

PAGES_OPEN = "sum(" + series("tiltmeter_incidents_open", 'level="page"', model=True) + ")"
TICKETS_OPEN = "sum(" + series("tiltmeter_incidents_open", 'level="ticket"', model=True) + ")"

SHARE = f"max by (model_name, slice, stream) ({series('tiltmeter_flagged_share_ratio', model=True)})"
REFERENCE = f"max by (model_name, slice, stream) ({series('tiltmeter_reference_share_ratio', model=True)})"
EVIDENCE = f"max by (model_name, slice, stream, level) ({series('tiltmeter_evidence_log10', model=True)})"
THRESHOLD = f"max by (model_name, slice, stream, level) ({series('tiltmeter_evidence_threshold_log10', model=True)})"

PROMPTS = per_second("tiltmeter_prompts_total", "model_name", model=True)
TOKENS_PER_PROMPT = (
    f"{per_second('tiltmeter_tokens_total', 'model_name', model=True)} "
    f"/ ({per_second('tiltmeter_prompts_total', 'model_name', model=True)} > 0)"
)
FIRING = 'ALERTS{alertname=~"Tiltmeter.+", alertstate="firing", severity!="none", model_name=~"$model_name|"}'
TRUNCATED = (
    f"{per_second('tiltmeter_truncated_prompts_total', 'model_name', model=True)} "
    f"/ ({per_second('tiltmeter_prompts_total', 'model_name', model=True)} > 0)"
)

DECIDERS = f"sum({series('tiltmeter_decider_active')})"
VERDICT_AGE = f"time() - max by (model_name) ({series('tiltmeter_last_verdict_timestamp_seconds', model=True)})"
WATERMARK_AGE = f"time() - max({series('tiltmeter_watermark_timestamp_seconds')})"
SOURCE_AGE = f"time() - {series('tiltmeter_source_timestamp_seconds')}"
FLUSH_AGE = f"time() - {series('tiltmeter_last_flush_timestamp_seconds')}"
LAG = series("tiltmeter_source_lag_records")
PENDING = series("tiltmeter_pending_prompts")
QUEUED = series("tiltmeter_queued_prompts")
REJECTED = per_second("tiltmeter_rejected_total", "reason")
LATE = per_second("tiltmeter_late_prompts_total", "model_name", model=True)
UNKNOWN_BUNDLE = per_second("tiltmeter_unknown_bundle_prompts_total")
TOO_FAR_AHEAD = per_second("tiltmeter_refused_prompts_total", "model_name", model=True)
LOST_RECORDS = per_second("tiltmeter_lost_records_total", "instance")
LOST_DEAD_LETTERS = per_second("tiltmeter_lost_dead_letters_total", "instance")
REPLACED_TIMES = per_second("tiltmeter_replaced_times_total", "instance")
REWINDS = per_second("tiltmeter_rewinds_total", "instance")
STAGE_95 = f"histogram_quantile(0.95, sum by (le, stage) (rate({series('tiltmeter_batch_seconds_bucket')}[$__rate_interval])))"
MEMORY = process("process_resident_memory_bytes")
CPU = f"rate({process('process_cpu_seconds_total')}[$__rate_interval])"
