"""Tests of the rules for `promtool test rules`, written beside them for the same promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from leaven.operate.metrics.exposition import number
from leaven.operate.metrics.rules import GROUPS, burn_rule, span, within
from leaven.operate.objectives.burning import RULES, Rule
from leaven.operate.objectives.config import Objectives, Slo
from leaven.operate.objectives.indicator import RequestIndicator

__all__ = ["rule_tests"]

_ALL = 10**9  # requests a step, so that even small shares are many
_DAY = 86_400.0
_EVERY = 6  # minutes between two evaluations; a shorter time would cost promtool minutes
_MINUTES = 4 * _EVERY  # of the test of states: longer than any of them must last, beside its grace
_WAITING = (
    ("backlog", "LeavenReviewBacklog", "leaven_review_backlog"),
    ("waiting", "LeavenReviewWaiting", "leaven_review_oldest_seconds"),
)
_STEPS, _LONG = 5, _EVERY  # steps of a short window; steps of a test, which are longer than it


def rule_tests(told: Objectives, file: str) -> dict[str, Any]:
    """What the rules of a file are to say: each alert at a time when it fires, and when not."""
    requests = [slo for slo in told.slo if isinstance(slo.kind, RequestIndicator)]
    tests = [test for apart in _apart(requests) for rule in RULES for test in _burning(apart, rule)]
    return {
        "rule_files": [file],
        "evaluation_interval": f"{_EVERY}m",
        "group_eval_order": list(GROUPS),  # else promtool takes them in any order
        "tests": [*tests, _states(told)],
    }


def _apart(slos: Sequence[Slo]) -> list[list[Slo]]:
    """Objectives in groups that may be tested together: no two count the same requests."""
    groups: list[dict[tuple[str, str], Slo]] = []
    for slo in slos:
        key = (slo.kind.name, _model(slo))
        group = next((one for one in groups if key not in one), None)
        if group is None:
            groups.append(group := {})
        group[key] = slo
    return [list(group.values()) for group in groups]


def _burning(slos: Sequence[Slo], rule: Rule) -> list[dict[str, Any]]:
    """A budget that is spent faster than the rule allows, and then not any more, while the long
    window still remembers it; and one that is spent slower all the time."""
    # Shares over part of a window are those over all of it, so the short one is enough, in fifths.
    minutes = int(rule.short // 60) // _STEPS
    # A promise may be so weak that even requests that are all bad keep it.
    rates = {slo.name: rule.rate(slo.days * _DAY) * (1 - (slo.target or 0)) for slo in slos}
    loud = [slo for slo in slos if 2.5 * rates[slo.name] <= 1]
    fast = [one for slo in loud for one in _series(slo, 2.5 * rates[slo.name], calm=_LONG)]
    slow = [one for slo in slos for one in _series(slo, min(0.8 * rates[slo.name], 1), calm=0)]

    def asked(slo: Slo, steps: int, fires: bool) -> dict[str, Any]:
        of = f'severity="{rule.severity}",slo="{slo.name}"'
        return _asked(burn_rule(slo, rule), of, steps * minutes, fires=fires)

    told = [
        ("fast", fast, [asked(slo, n * _LONG, n == 1) for slo in loud for n in (1, 2)]),
        ("slow", slow, [asked(slo, _LONG, False) for slo in slos]),
    ]
    return [
        {
            "name": f"{span(rule.long)}, {speed}",
            "interval": f"{minutes}m",
            "input_series": series,
            "promql_expr_test": wanted,
        }
        for speed, series, wanted in told
        if wanted
    ]


def _model(slo: Slo) -> str:
    return slo.services[0] if slo.services else "tickets"


def _series(slo: Slo, share: float, calm: int) -> list[dict[str, str]]:
    """Requests of which that share is bad at each step, then so many steps of good ones."""
    bad = round(share * _ALL)

    def counted(labels: str, metric: str, each: int, later: int) -> dict[str, str]:
        values = f"0+{each}x{_LONG}"
        if calm:
            values += f" {each * _LONG + later}+{later}x{calm - 1}"
        quoted = _model(slo).replace("\\", "\\\\").replace('"', '\\"')
        return {"series": f'{metric}{{model="{quoted}",{labels}}}', "values": values}

    good = _ALL - bad
    if slo.kind.name == "errors":
        metric, route = "leaven_http_requests_total", 'method="POST",route="/predict"'
        return [
            counted(f'{route},status="200"', metric, good, _ALL),
            counted(f'{route},status="503"', metric, bad, 0),
        ]
    if slo.kind.name == "latency":
        metric, route = "leaven_http_request_duration_seconds", 'route="/predict"'
        le = number(within(slo))
        return [
            counted(f'{route},le="{le}"', f"{metric}_bucket", good, _ALL),
            counted(f'{route},le="+Inf"', f"{metric}_bucket", _ALL, _ALL),
            counted(route, f"{metric}_count", _ALL, _ALL),
        ]
    return [
        counted('route="answer"', "leaven_predictions_total", good, _ALL),
        counted('route="review"', "leaven_predictions_total", bad, 0),
    ]


def _states(promised: Objectives) -> dict[str, Any]:
    """The alerts on states: of each a series on which it fires, and one on which it does not."""
    busy = 'leaven_http_requests_total{method="POST",route="/predict",status="429",%s}'
    told = [
        ("LeavenDown", 'up{job="leaven",%s}', "0", "1"),
        ("LeavenNoLiveModel", "leaven_ready{%s}", "0", "2"),
        ("LeavenSwapFailing", "leaven_swap_failing{%s}", "1", "0"),
        ("LeavenCanaryRolledBack", "leaven_canary_rolled_back_timestamp_seconds{%s}", "60",
         "-4000"),
        ("LeavenLogFailing", "leaven_log_failing{%s}", "1", "0"),
        ("LeavenLogLost", "leaven_log_dropped_total{%s}", "0+7", "7+0"),
        ("LeavenRefusing", busy, "0+100", "0+0"),
    ]  # fmt: skip
    for_all = [slo for slo in promised.slo if not slo.services]
    for kind, alert, metric in _WAITING:
        if any(slo.kind.name == kind for slo in for_all):
            told.append((alert, f"{metric}{{%s}}", "1000000000000", "0"))
    graces = [promised.alerts.grace, *(slo.grace or 0 for slo in promised.slo)]
    minutes = _MINUTES + _EVERY * math.ceil(max(graces) / 60 / _EVERY)
    series, wanted = [], []
    for alert, line, *values in told:
        for fires, value in zip((True, False), values, strict=True):
            of = f'model="{"loud" if fires else "calm"}"'
            each = value if "+" in value else f"{value}+0"
            series.append({"series": line % of, "values": f"{each}x{minutes}"})
            wanted.append(_asked(alert, of, minutes, fires=fires))
    return {
        "name": "states",
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": wanted,
    }


def _asked(alert: str, of: str, minutes: int, *, fires: bool) -> dict[str, Any]:
    """Whether an alert fires after so many minutes."""
    return {
        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing",{of}}}) > bool 0 '
        "or vector(0)",
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": "{}", "value": int(fires)}],
    }
