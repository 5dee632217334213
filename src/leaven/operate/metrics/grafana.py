"""Dashboards for Grafana as it provisions them from files: executive, on-call and debug.

The top row are four numbers, below is one chart a question; a title is the question. Data source
and service are variables of the board.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaven.operate.metrics.rules import ANSWERING

__all__ = ["BOARDS", "Board", "Panel", "board_json", "dashboard_provider"]

_SCHEMA = 39  # of Grafana 10.4 and later, which bring older ones up to date themselves
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OURS = 'model=~"$model"'
_ASKING = f'{_OURS},route=~"{ANSWERING}"'
_ACCENT, _GREY, _ALARM = "#ad5413", "#77736e", "#b3261e"


@dataclass(frozen=True)
class Panel:
    """One panel: its question, queries with their legends, and how it is drawn.

    `good` is the bound between fine and not, `above` whether values above it are the fine ones.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    note: str = ""
    good: float | None = None
    above: bool = True


@dataclass(frozen=True)
class Board:
    """A dashboard: whom it is for, four numbers, and charts."""

    name: str
    title: str
    numbers: tuple[Panel, ...]
    charts: tuple[Panel, ...]


def _stat(title: str, query: str, unit: str, **more: Any) -> Panel:
    return Panel(title, [(query, "")], unit, "stat", **more)


def _share(good: str, every: str) -> str:
    return f"sum({good}) / sum({every})"


_ANSWERED = f"leaven_predictions_total{{{_OURS}}}"
_BY_PERSON = f'leaven_predictions_total{{{_OURS},route="review"}}'
_REQUESTS = f"leaven_http_requests_total{{{_ASKING}}}"
_FAILED = f'leaven_http_requests_total{{{_ASKING},status=~"5.."}}'
_BUCKETS = f"leaven_http_request_duration_seconds_bucket{{{_ASKING}}}"
_QUICK = f'leaven_http_request_duration_seconds_bucket{{{_ASKING},le="0.5"}}'
_TIMED = f"leaven_http_request_duration_seconds_count{{{_ASKING}}}"


_ROUTES = f"leaven_http_request_duration_seconds_bucket{{{_OURS}}}"
_BATCHES = f"leaven_batch_records_bucket{{{_OURS}}}"
_EACH = f"sum by (model) (rate({_ANSWERED}[$__rate_interval]))"
_TO_PEOPLE = f"(sum by (model) (rate({_BY_PERSON}[$__rate_interval])) or 0 * {_EACH}) / {_EACH}"


def _quantile(level: float, buckets: str = _BUCKETS, by: str = "le") -> str:
    return f"histogram_quantile({level:g}, sum by ({by}) (rate({buckets}[$__rate_interval])))"


BOARDS = (
    Board(
        "executive",
        "Leaven: what it is worth",
        (
            _stat("Records answered in 24 h", f"sum(increase({_ANSWERED}[24h]))", "short"),
            _stat(
                "Without a person, 24 h",
                f"1 - (sum(increase({_BY_PERSON}[24h])) or vector(0)) "
                f"/ sum(increase({_ANSWERED}[24h]))",
                "percentunit", good=0.8,
            ),
            _stat(
                "Answered, 24 h",
                f"1 - (sum(increase({_FAILED}[24h])) or vector(0)) "
                f"/ sum(increase({_REQUESTS}[24h]))",
                "percentunit", good=0.999,
            ),
            _stat(
                "Right, where truth came back",
                _share(f'leaven_feedback{{{_OURS},right="yes"}}', f"leaven_feedback{{{_OURS}}}"),
                "percentunit",
            ),
        ),
        (
            Panel("How much is asked?", [
                (f"sum by (model) (rate({_ANSWERED}[$__rate_interval])) * 60", "{{model}}"),
            ], "short", note="Records a minute."),
            Panel("How much do people have to look at?", [
                (_TO_PEOPLE, "{{model}}"),
            ], "percentunit"),
            Panel("How accurate is what serves, on held-out records?", [
                (f'leaven_run_accuracy{{{_OURS},place=~"live|canary"}}', "{{place}} {{run}}"),
            ], "percentunit"),
            Panel("What did it cost to train?", [
                (f"leaven_run_fit_cpu_seconds{{{_OURS}}}", "{{place}} {{run}}"),
            ], "s", note="Processor time of the fit."),
        ),
    ),
    Board(
        "on-call",
        "Leaven: what is wrong now",
        (
            _stat("Servers ready", f"sum(leaven_ready{{{_OURS}}})", "short", good=1),
            _stat(
                "Requests that failed, 5 min",
                f"(sum(rate({_FAILED}[5m])) or vector(0)) / sum(rate({_REQUESTS}[5m]))",
                "percentunit", good=0.001, above=False,
            ),
            _stat(
                "Within 0.5 s, 5 min", _share(f"rate({_QUICK}[5m])", f"rate({_TIMED}[5m])"),
                "percentunit", good=0.99,
            ),
            _stat(
                "Predictions lost, 1 h", f"sum(increase(leaven_log_dropped_total{{{_OURS}}}[1h]))",
                "short", good=1, above=False,
            ),
        ),
        (
            Panel("Which alerts stand?", [
                ('ALERTS{alertname=~"Leaven.*",alertstate="firing"}',
                 "{{alertname}} {{model}} {{severity}}"),
            ], "short"),
            Panel("What do requests get?", [
                (f"sum by (status) (rate({_REQUESTS}[$__rate_interval]))", "{{status}}"),
            ], "reqps"),
            Panel("How long do they take?", [
                (_quantile(0.5), "half of them"), (_quantile(0.95), "95 %"),
                (_quantile(0.99), "99 %"),
            ], "s"),
            Panel("What waits?", [
                (f"sum(leaven_waiting_records{{{_OURS}}})", "records for the model"),
                (f"sum(leaven_review_backlog{{{_OURS}}})", "records for people"),
            ], "short"),
            Panel("Is what serves what was released?", [
                (f"sum by (model) (leaven_swap_failing{{{_OURS}}})", "{{model}}: servers behind"),
                (f"sum by (model) (leaven_log_failing{{{_OURS}}})",
                 "{{model}}: logs that cannot be written"),
            ], "short"),
            Panel("What does the canary do?", [
                (f"leaven_canary_share{{{_OURS}}}", "{{model}}: its share"),
                (f"leaven_canary_decision{{{_OURS}}} == 1", "{{model}}: {{action}}"),
            ], "percentunit"),
        ),
    ),
    Board(
        "debug",
        "Leaven: where it comes from",
        (
            _stat("Requests a second", f"sum(rate({_REQUESTS}[5m]))", "reqps"),
            _stat("Processor cores", 'sum(rate(process_cpu_seconds_total{job="leaven"}[5m]))',
                  "short"),
            _stat("Memory", 'sum(process_resident_memory_bytes{job="leaven"})', "bytes"),
            _stat(
                "Records at once, mean",
                f"sum(rate(leaven_batch_records_sum{{{_OURS}}}[5m])) "
                f"/ sum(rate(leaven_batch_records_count{{{_OURS}}}[5m]))", "short",
            ),
        ),
        (
            Panel("Which model answers?", [
                (f"sum by (run, version, place) (rate({_ANSWERED}[$__rate_interval]))",
                 "{{place}} {{run}} {{version}}"),
            ], "short"),
            Panel("Which model sends records to people?", [
                (f"sum by (run, place) (rate({_BY_PERSON}[$__rate_interval]))",
                 "{{place}} {{run}}"),
            ], "short"),
            Panel("Which route is slow?", [
                (_quantile(0.99, _ROUTES, "le, route"), "{{route}}"),
            ], "s"),
            Panel("How are requests batched?", [
                (_quantile(0.5, _BATCHES), "half of them"),
                (_quantile(0.99, _BATCHES), "99 %"),
            ], "short"),
            Panel("Does the log keep up?", [
                (f"sum(rate(leaven_log_written_total{{{_OURS}}}[$__rate_interval]))", "written"),
                (f"sum(rate(leaven_log_dropped_total{{{_OURS}}}[$__rate_interval]))", "lost"),
                (f"sum(rate(leaven_shadows_dropped_total{{{_OURS}}}[$__rate_interval]))",
                 "shadows left out"),
            ], "short"),
            Panel("Where is the retraining loop?", [
                (f"leaven_loop_state{{{_OURS}}} == 1", "{{model}}: {{state}}"),
            ], "short"),
            Panel("Which workers use memory?", [
                ('process_resident_memory_bytes{job="leaven"}', "{{instance}} worker {{worker}}"),
            ], "bytes"),
        ),
    ),
)  # fmt: skip


def board_json(board: Board) -> str:
    """The file of a dashboard."""
    panels = [
        _panel(panel, i + 1, {"x": 6 * i, "y": 0, "w": 6, "h": 4})
        for i, panel in enumerate(board.numbers)
    ]
    for i, panel in enumerate(board.charts):
        place = {"x": 12 * (i % 2), "y": 4 + 8 * (i // 2), "w": 12, "h": 8}
        panels.append(_panel(panel, len(panels) + 1, place))
    told = {
        "uid": f"leaven-{board.name}",
        "title": board.title,
        "tags": ["leaven"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "timezone": "",
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "links": [
            {
                "title": other.title, "type": "link", "url": f"/d/leaven-{other.name}",
                "keepTime": True, "includeVars": True,
            }
            for other in BOARDS
            if other is not board
        ],
        "templating": {"list": _VARIABLES},
        "panels": panels,
    }  # fmt: skip
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def dashboard_provider() -> dict[str, Any]:
    """What tells Grafana where the dashboards are: for its folder `provisioning/dashboards`."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "leaven",
                "folder": "Leaven",
                "type": "file",
                "options": {"path": "/var/lib/grafana/dashboards/leaven"},
            }
        ],
    }


_VARIABLES: list[dict[str, Any]] = [
    {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
    {
        "name": "model", "label": "Service", "type": "query", "datasource": _SOURCE,
        "query": {"query": "label_values(leaven_build_info, model)", "refId": "model"},
        "refresh": 2, "includeAll": True, "allValue": ".*", "multi": True,
        "current": {"text": "All", "value": "$__all"},
    },
]  # fmt: skip


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    is_stat = panel.kind == "stat"
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if is_stat:
        defaults["thresholds"] = _thresholds(panel)
    else:
        defaults["custom"] = {"lineWidth": 2, "fillOpacity": 6, "showPoints": "never"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.note,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _STAT if is_stat else _LINES,
        "targets": [
            {
                "refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": query,
                "legendFormat": legend, "instant": is_stat, "range": not is_stat,
            }
            for i, (query, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip


_STAT: dict[str, Any] = {
    "reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area",
}  # fmt: skip
_LINES: dict[str, Any] = {
    "legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"},
}  # fmt: skip


def _thresholds(panel: Panel) -> dict[str, Any]:
    """The colours of a number: ours where it is fine, of alarm where not, grey with no bound."""
    if panel.good is None:
        return {"mode": "absolute", "steps": [{"color": _GREY, "value": None}]}
    low, high = (_ALARM, _ACCENT) if panel.above else (_ACCENT, _ALARM)
    steps = [{"color": low, "value": None}, {"color": high, "value": panel.good}]
    return {"mode": "absolute", "steps": steps}
