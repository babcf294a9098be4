"""PromQL: selectors of the chosen targets and the few shapes of queries; a metric that service.metrics does not define cannot be asked for.

All that has a model is exported once, by the active decider, or added up over processes, so no query grows with the number of instances but
those that have a line for each.
"""

from collections.abc import Callable, Sequence

from service.metrics import DEFINITIONS, SEVERITIES, STATES, names
from service.metrics.probes import STATES as PROBE_STATES

_LABELS = {definition.name: definition.labels for definition in DEFINITIONS}
_TARGET = 'job=~"$job", instance=~"$instance"'
_OF_PROBES = ("target", "suite", "category")

_SLICE = 'slice=~"${slice:pipe}"'
"""As it stands in the variable: the value of each choice is a pattern already."""

STREAM = ("model_name", "slice", "stream")
PROBE = ("model_name", "target", "suite", "category", "stream")
ENDPOINT = ("model_name", "target", "role")


def of(name: str, *matchers: str, sliced: bool = True, deeper: bool = False) -> str:
    """Selector of one metric by all the variables whose labels it has; KeyError for an unknown name.

    Args:
        name: as Prometheus stores it. matchers: more of them; one of a label takes the place of its variable.
        sliced: False means all slices. deeper: what is of prompts by stream as well, what is of probes by target, suite and category.
    """
    if name not in names():
        raise KeyError(f"{name} is not a metric of service.metrics")
    labels = _LABELS[name] if name in _LABELS else _LABELS[name.rpartition("_")[0]]
    wanted = {"model_name": _model(labels)} if "model_name" in labels else {}
    if sliced and "slice" in labels:
        wanted["slice"] = _SLICE
    if deeper:
        wanted |= {label: f'{label}=~"${label}"' for label in (_OF_PROBES if "suite" in labels else ("stream",)) if label in labels}
    for matcher in matchers:
        wanted.pop(matcher.split("=")[0].rstrip("!"), None)
    return f"{name}{{{', '.join([_TARGET, *wanted.values(), *matchers])}}}"


def _model(labels: Sequence[str]) -> str:
    """A judge may serve several models: where there are roles, those of no model are shown with any."""
    return 'model_name=~"$model_name|"' if "role" in labels and "suite" not in labels else 'model_name=~"$model_name"'


def all_slices(name: str, *matchers: str) -> str:
    """Selector whatever slices are chosen."""
    return of(name, *matchers, sliced=False)


def chosen(name: str, *matchers: str) -> str:
    """Selector by stream, or by target, suite and category, as well."""
    return of(name, *matchers, deeper=True)


def largest(name: str, *by: str, where: Sequence[str] = (), select: Callable[..., str] = of) -> str:
    """One value for each ``by``: two processes are never in the way of one another. ``where``: more matchers."""
    return f"max by ({', '.join(by)}) ({select(name, *where)})"


def smallest(name: str, *by: str, select: Callable[..., str] = of) -> str:
    """The worst of several where 0 is worse than 1."""
    return f"min by ({', '.join(by)}) ({select(name)})"


def per_second(counter: str, *by: str, select: Callable[..., str] = of) -> str:
    """Rate of a counter, summed over everything but ``by``."""
    return f"sum by ({', '.join(by)}) (rate({select(counter)}[$__rate_interval]))"


def total(counter: str, *where: str) -> str:
    """Rate of a counter over everything."""
    return f"sum(rate({of(counter, *where)}[$__rate_interval]))"


def most(expression: str) -> str:
    """The 20 largest of what has a line for each process: of 500 the others say nothing."""
    return f"topk(20, {expression})"


def age(name: str, *by: str) -> str:
    """Seconds since the newest of several times."""
    return f"time() - {largest(name, *by)}"


def quantile(share: float, histogram: str, *by: str) -> str:
    """Quantile of a histogram, read off its edges; nothing where nothing was timed."""
    buckets = f"sum by (le, {', '.join(by)}) (rate({of(histogram + '_bucket')}[$__rate_interval]))"
    timed = f"sum by ({', '.join(by)}) (rate({of(histogram + '_count')}[$__rate_interval])) > 0"
    return f"histogram_quantile({share}, {buckets}) and {timed}"


def ratio(above: str, below: str) -> str:
    """Of two sums with the same labels; nothing where there is nothing below."""
    return f"{above} / ({below} > 0)"


def process(name: str) -> str:
    """Selector of a metric that prometheus-client gives every process."""
    return f"{name}{{{_TARGET}}}"


def coded(metric: str, label: str, values: Sequence[str], *by: str, select: Callable[..., str] = of) -> str:
    """One number per series: the place in ``values`` of the value that is 1 now."""
    selectors = [select(metric, f'{label}="{value}"') for value in values]
    cases = (f"{selector} * {place}" for place, selector in enumerate(selectors))
    return f"max by ({', '.join(by)}) ({' or '.join(cases)})"


def _severity() -> str:
    """As :func:`coded`; but that nobody must get up is said only where something is judged: 3 is blind, 4 that nothing is judged yet."""
    cases = []
    for kind, metric, whole in (
        ('kind="drift"', "tiltmeter_stream_state", ['slice=""']),
        ('kind!="drift"', "tiltmeter_probe_state", []),
    ):
        quiet = f"{of('tiltmeter_severity', kind, _NONE)} == 1"
        blind, judged = (of(metric, *whole, f'state="{state}"') for state in ("blind", "ok"))
        cases.append(f"(({quiet}) * 3 and on (model_name) {blind} == 1)")
        cases.append(f"(({quiet}) * 4 unless on (model_name) {judged} == 1)")
    selectors = [of("tiltmeter_severity", f'severity="{value}"') for value in SEVERITIES]
    cases += [f"{selector} * {place}" for place, selector in enumerate(selectors)]
    return f"max by (model_name, kind, owner) ({' or '.join(cases)})"


_NONE = 'severity="none"'
SEVERITY = _severity()
STATE = coded("tiltmeter_stream_state", "state", STATES[::-1], *STREAM)
PROBE_STATE = coded("tiltmeter_probe_state", "state", PROBE_STATES[::-1], *PROBE)

WHOLE = "whole model"
PATTERN_OF_WHOLE = "^$"
_PATTERN = r"\\\\Q$1\\\\E"


def _filled(expression: str, label: str, of_slice: str, of_whole: str) -> str:
    """The expression with one label more: for a slice, where $1 is its name, and for the whole model."""
    named = f'label_replace({expression}, "{label}", "{of_slice}", "slice", "(.+)")'
    return f'label_replace({named}, "{label}", "{of_whole}", "slice", "")'


def with_choice(expression: str) -> str:
    """With the value of the variable ``slice`` that chooses this slice, as label ``choice``. A name between Q and E may hold anything."""
    return _filled(expression, "choice", _PATTERN, PATTERN_OF_WHOLE)


_SLICES_NOW = f"count by (slice) ({of('tiltmeter_stream_state', sliced=False)})"
SLICES = f"query_result({_filled(_filled(_SLICES_NOW, 'text', '$1', WHOLE), 'value', _PATTERN, PATTERN_OF_WHOLE)})"
"""Every slice as text and pattern. Grafana could not choose an empty label otherwise."""
SLICE_CHOICE = '/text="(?<text>[^"]+)".*value="(?<value>[^"]+)"/'

FIRING = 'ALERTS{alertname=~"Tiltmeter.+", alertstate="firing", severity!="none", model_name=~"$model_name|"}'
