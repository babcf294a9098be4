"""The shared look: every panel has a title, a description with its metrics and the runbook to open, a unit and the chosen data source."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATA_SOURCE = common_models.DataSourceRef(type_val="prometheus", uid="$datasource")
QUIET, GOOD, WARN, BAD, UNKNOWN = "text", "green", "orange", "red", "purple"

MODEL, PIPELINE = "tiltmeter-model", "tiltmeter-pipeline"
"""Where links lead."""

Query = tuple[str, str]
"""Expression and legend."""

Panel = stat.Panel | timeseries.Panel | statetimeline.Panel | table.Panel

# From the last to the first of service.metrics.STATES; "no traffic" and all that is not known yet are never green.
STATES: tuple[tuple[str, str], ...] = (
    ("ok", GOOD),
    ("insufficient", "blue"),
    ("idle", QUIET),
    ("learning", "light-blue"),
    ("ticket", WARN),
    ("page", BAD),
    ("blind", UNKNOWN),
)
PROBE_STATES = tuple(state for state in STATES if state[0] != "idle")
VERDICTS = (("pass", GOOD), ("fail", BAD), ("inconclusive", UNKNOWN))


def _targets(queries: Sequence[Query], *, instant: bool = False) -> list[prometheus.Dataquery]:
    targets = []
    for place, (expression, legend) in enumerate(queries):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + place))
        targets.append(target.instant() if instant else target.range())
    return targets


def _described(text: str, queries: Sequence[Query], runbook: str) -> str:
    found = (re.findall(r"\b((?:tiltmeter|process)_\w+)\{", expression) for expression, _ in queries)
    metrics = dict.fromkeys(name.removesuffix("_bucket") for names in found for name in names)
    return f"{text}\n\nRunbook: docs/runbooks/{runbook}.md. Metrics: {', '.join(metrics)}."


def coloured(codes: Sequence[tuple[str, str]]) -> list[models.ValueMapping]:
    """Value mapping of 0, 1, 2... to text and colour."""
    options = {str(code): models.ValueMappingResult(text=text, color=colour, index=code) for code, (text, colour) in enumerate(codes)}
    return [models.ValueMap(options=options)]


def steps(*limits: tuple[float | None, str]) -> builders.ThresholdsConfig:
    """Colour from each limit upwards; the first limit is None."""
    found = [models.Threshold(value=limit, color=colour) for limit, colour in limits]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def link(title: str, page: str, **choices: str) -> builders.DashboardLink:
    """To another of our dashboards at the same time; ``choices``: variable -> its value there, all others as they are here.

    A value may name a column of the row (``${__data.fields.NAME}``) or a label of the series (``${__field.labels.NAME}``).
    """
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "instance", "model_name") if name not in choices)
    chosen = "".join(f"&var-{name}={value}" for name, value in choices.items())
    return builders.DashboardLink(title).url(f"/d/{page}?{kept}{chosen}&${{__url_time_range}}")


def tile(title: str, text: str, unit: str, *queries: Query, runbook: str, width: int = 4, none: str = "no data") -> stat.Panel:
    """One figure now."""
    panel = (
        stat.Panel()
        .title(title)
        .description(_described(text, queries, runbook))
        .datasource(DATA_SOURCE)
        .unit(unit)
        .height(4)
        .span(width)
        .no_value(none)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.BACKGROUND)
        .thresholds(steps((None, QUIET)))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    return panel.targets(list(_targets(queries, instant=True)))


def lines(
    title: str, text: str, unit: str, *queries: Query, runbook: str, width: int = 12, height: int = 8, none: str = "no data"
) -> timeseries.Panel:
    """Series over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(_described(text, queries, runbook))
        .datasource(DATA_SOURCE)
        .unit(unit)
        .height(height)
        .span(width)
        .line_width(1)
        .fill_opacity(0)
        .no_value(none)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(common_models.LegendDisplayMode.LIST))
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    )
    return panel.targets(list(_targets(queries)))


def hourly(title: str, text: str, unit: str, *queries: Query, runbook: str, width: int = 12, none: str = "no data") -> timeseries.Panel:
    """Rates of what comes in rounds, some of them hours apart: over an hour at least, or each round would be a spike."""
    return lines(title, text, unit, *queries, runbook=runbook, width=width, none=none).interval("1h").min(0)


def dashed(panel: timeseries.Panel, legend_ends_with: str) -> timeseries.Panel:
    """Draw the series whose legend ends so as a dashed line: what others are compared with."""
    style = [models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]})]
    return panel.override_by_regexp(f"/{legend_ends_with}$/", style)


def timeline(
    title: str, text: str, codes: Sequence[tuple[str, str]], query: Query, *, runbook: str, height: int = 6, none: str = "no data"
) -> statetimeline.Panel:
    """States over time, one lane for each series."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(_described(text, [query], runbook))
        .datasource(DATA_SOURCE)
        .unit("none")
        .height(height)
        .span(24)
        .no_value(none)
        .mappings(coloured(codes))
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(True)
        .legend(common.VizLegendOptions().show_legend(False))
    )
    return panel.targets(list(_targets([query])))


def rows(
    title: str,
    text: str,
    *queries: Query,
    runbook: str,
    width: int = 24,
    height: int = 8,
    none: str = "no data",
    hidden: Sequence[str] = (),
) -> table.Panel:
    """Now, one row for each set of labels: all queries have the same labels, and the legend of each is the name of its column."""
    names = {f"Value #{chr(ord('A') + place)}": legend for place, (_, legend) in enumerate(queries)}
    if len(queries) == 1:
        names = {"Value": queries[0][1]}
    tidy: dict[str, Any] = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
    panel = (
        table.Panel()
        .title(title)
        .description(_described(text, queries, runbook))
        .datasource(DATA_SOURCE)
        .unit("none")
        .height(height)
        .span(width)
        .no_value(none)
        .filterable(True)
        .transformations(
            [models.DataTransformerConfig(id_val="merge", options={}), models.DataTransformerConfig(id_val="organize", options=tidy)]
        )
    )
    for name in hidden:
        panel = panel.override_by_name(name, [models.DynamicConfigValue(id_val="custom.hidden", value=True)])
    return panel.targets([target.format(PromQueryFormat.TABLE) for target in _targets(queries, instant=True)])


def column(panel: table.Panel, name: str, *, unit: str | None = None, codes: Sequence[tuple[str, str]] = (), **more: Any) -> table.Panel:
    """How one column of a table looks; ``more``: other settings of a field by their names, such as ``links``."""
    wanted: Mapping[str, Any] = {"unit": unit, **more}
    found = [models.DynamicConfigValue(id_val=id_, value=value) for id_, value in wanted.items() if value is not None]
    if codes:
        found.append(models.DynamicConfigValue(id_val="mappings", value=coloured(codes)))
        found.append(models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background", "mode": "basic"}))
    return panel.override_by_name(name, found)


def leads(panel: table.Panel, name: str, title: str, page: str, **choices: str) -> table.Panel:
    """A click into this column leads to another dashboard, as :func:`link` says."""
    built = link(title, page, **choices).build()
    return column(panel, name, links=[{"title": built.title, "url": built.url}])
