"""The two charts of the overview (ECharts, which NiceGUI brings along)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from nicegui import events, ui

from gateway.dashboard.figures import SERIES, Window, bars, latenesses

GRID = {"left": 52, "right": 16, "top": 40, "bottom": 28}
SOFT = "#8593a3"
SOFT_AXIS = {"axisLabel": {"color": SOFT}, "axisLine": {"lineStyle": {"color": SOFT}}}
SPLIT = {"splitLine": {"lineStyle": {"color": SOFT, "opacity": 0.2}}}


def count_chart(on_minute: Callable[[datetime], None]) -> ui.echart:
    """Stacked bars, one per due minute; `on_minute` hears of the one that was clicked."""
    stacks = [
        {
            "name": name,
            "type": "bar",
            "stack": "all",
            "barCategoryGap": "15%",
            "itemStyle": {"color": colour},
            "data": [],
        }
        for name, _, colour in SERIES
    ]
    chart = ui.echart(_options("value", stacks), on_point_click=lambda e: on_minute(clicked(e)))
    return chart.classes("w-full").style("height: 300px").props('role=img aria-label="messages by due minute"')


def clicked(event: events.EChartPointClickEventArguments) -> datetime:
    """The minute that a bar stands for."""
    return datetime.fromisoformat(str(event.name))


def lateness_chart() -> ui.echart:
    """Lines of p50 and p99 by due minute, on a logarithmic scale."""
    lines = [
        {
            "name": name,
            "type": "line",
            "symbolSize": 5,
            "connectNulls": False,
            "itemStyle": {"color": colour},
            "data": [],
        }
        for name, colour in (("p50", "#3b7ddd"), ("p99", "#d9920a"))
    ]
    options = _options("log", lines)
    options["yAxis"] |= {"name": "ms, at most", "min": 1, "nameTextStyle": {"color": SOFT}}
    chart = ui.echart(options)
    return chart.classes("w-full").style("height: 200px").props('role=img aria-label="lateness by due minute"')


def _options(scale: str, series: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "animation": False,
        "grid": GRID,
        "legend": {"top": 0, "type": "scroll", "textStyle": {"color": SOFT}, "itemWidth": 14, "itemHeight": 10},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
        "xAxis": {"type": "category", "data": [], ":axisLabel": AXIS_LABEL, "axisLine": SOFT_AXIS["axisLine"]},
        "yAxis": {"type": scale, "minInterval": 1, **SOFT_AXIS, **SPLIT},
        "series": series,
    }


AXIS_LABEL = (
    "{color: '#8593a3', hideOverlap: true,"
    " formatter: t => new Date(t).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', hour12: false})}"
)
"""Minutes in the time zone of whoever looks."""


def show_counts(chart: ui.echart, windows: Sequence[Window], axis: Sequence[datetime], now: datetime) -> None:
    """Put the counts of each minute in, and a line at the present one."""
    names = [minute.isoformat() for minute in axis]
    chart.options["xAxis"]["data"] = names
    for series, values in zip(chart.options["series"], bars(windows, axis), strict=True):
        series["data"] = values
    here = now.replace(second=0, microsecond=0).isoformat()
    chart.options["series"][0]["markLine"] = {
        "symbol": "none", "silent": True, "data": [{"xAxis": here}], "label": {"formatter": "now", "color": SOFT},
        "lineStyle": {"color": SOFT, "type": "dashed"},
    }  # fmt: skip
    chart.update()


def show_lateness(chart: ui.echart, windows: Sequence[Window], axis: Sequence[datetime]) -> None:
    """Put the latenesses of each minute in."""
    chart.options["xAxis"]["data"] = [minute.isoformat() for minute in axis]
    for series, field in zip(chart.options["series"], ("lateness_ms_p50", "lateness_ms_p99"), strict=True):
        series["data"] = latenesses(windows, axis, field)
    chart.update()
