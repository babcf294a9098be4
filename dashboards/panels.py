"""The shared look: every panel has a title, a description, a unit and the chosen data source."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

DATA_SOURCE = common_models.DataSourceRef(type_val="prometheus", uid="$datasource")
QUIET, GOOD, WARN, BAD, UNKNOWN = "text", "green", "orange", "red", "purple"

Query = tuple[str, str]
"""Expression and legend."""


def _targets(queries: Sequence[Query], *, instant: bool = False) -> list[prometheus.Dataquery]:
    targets = []
    for place, (expression, legend) in enumerate(queries):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + place))
        targets.append(target.instant() if instant else target.range())
    return targets


def coloured(codes: Sequence[tuple[str, str]]) -> list[models.ValueMapping]:
    """Value mapping of 0, 1, 2... to text and colour."""
    options = {str(code): models.ValueMappingResult(text=text, color=colour, index=code) for code, (text, colour) in enumerate(codes)}
    return [models.ValueMap(options=options)]


def steps(*limits: tuple[float | None, str]) -> builders.ThresholdsConfig:
    """Colour from each limit upwards; the first limit is None."""
    found = [models.Threshold(value=limit, color=colour) for limit, colour in limits]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


def tile(title: str, description: str, unit: str, *queries: Query, width: int = 4, none: str = "no data") -> stat.Panel:
    """One figure now."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
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


def lines(title: str, description: str, unit: str, *queries: Query, width: int = 12, height: int = 8) -> timeseries.Panel:
    """Series over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .unit(unit)
        .height(height)
        .span(width)
        .line_width(1)
        .fill_opacity(0)
        .legend(common.VizLegendOptions().show_legend(True).display_mode(common_models.LegendDisplayMode.LIST))
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    )
    return panel.targets(list(_targets(queries)))


def dashed(panel: timeseries.Panel, legend_ends_with: str) -> timeseries.Panel:
    """Draw the series whose legend ends so as a dashed line: what others are compared with."""
    style = [models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]})]
    return panel.override_by_regexp(f"/{legend_ends_with}$/", style)


def timeline(title: str, description: str, mapping: list[models.ValueMapping], query: Query, *, height: int = 6) -> statetimeline.Panel:
    """States over time, one lane for each series."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(DATA_SOURCE)
        .unit("none")
        .height(height)
        .span(24)
        .mappings(mapping)
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(True)
        .legend(common.VizLegendOptions().show_legend(False))
    )
    return panel.targets(list(_targets([query])))
