"""Rules for Prometheus: what is worked out from time to time, and what wakes somebody.

Recorded rules have the names that its documentation asks for, `level:metric:operations`. Alerts on
requests are those of `leaven.operate.objectives`: the same promises, burn rates and windows.
"""

from __future__ import annotations

import re
from typing import Any

from leaven.core.errors import SettingError
from leaven.operate.metrics.catalogue import SECONDS
from leaven.operate.metrics.exposition import number
from leaven.operate.objectives.burning import RULES, Rule
from leaven.operate.objectives.config import Alerting, Objectives, Slo
from leaven.operate.objectives.indicator import RequestIndicator

__all__ = ["ANSWERING", "GROUPS", "WINDOWS", "burn_rule", "rules", "span", "within"]

#: Those that record, then those that alert on what was recorded.
GROUPS = ("leaven-records", "leaven-alerts")
#: The routes that ask a model, as a regular expression.
ANSWERING = r"/predict|/v2/models/\\*/(versions/\\*/)?infer"
#: Seconds of the windows of all burn rates, the shortest first.
WINDOWS = tuple(sorted({span for rule in RULES for span in (rule.long, rule.short)}))
_DAY = 86_400.0


def rules(told: Objectives) -> dict[str, Any]:
    """The groups of a file of rules, recording before alerting.

    Raises SettingError where an objective of latency has a bound below all buckets.
    """
    requests = [slo for slo in told.slo if isinstance(slo.kind, RequestIndicator)]
    recorded = [*_times(), *(one for slo in requests for one in _ratios(slo))]
    alerts = [_burns(slo, rule, told) for slo in requests for rule in RULES]
    alerts += [one for slo in told.slo for one in _figures(slo, told.alerts)]
    alerts += _states(told.alerts.runbooks)
    unique = {str(one["record"]): one for one in recorded}
    return {
        "groups": [
            {"name": GROUPS[0], "rules": [*unique.values()]},
            {"name": GROUPS[1], "rules": alerts},
        ]
    }


def span(seconds: float) -> str:
    """A window as PromQL has it.

    >>> [span(window) for window in WINDOWS]
    ['5m', '30m', '1h', '6h', '3d']
    """
    for unit, length in (("d", _DAY), ("h", 3600.0), ("m", 60.0)):
        if seconds >= length:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def within(slo: Slo) -> float:
    """The largest bucket that is no longer than the bound of an objective of latency.

    So a request between both counts as slow, and none that is slow as quick.
    """
    assert slo.within is not None
    found = [bound for bound in SECONDS if bound <= slo.within]
    if not found:
        raise SettingError(
            "within", f"at least {SECONDS[0]:g} s, the shortest bucket", slo.within,
            f"Prometheus knows {', '.join(f'{one:g}' for one in SECONDS)} s.",
        )  # fmt: skip
    return found[-1]


def burn_rule(slo: Slo, rule: Rule) -> str:
    """The name of an alert, in the way of Prometheus.

    >>> burn_rule(Slo(name="quick answers", indicator="latency"), RULES[0])
    'LeavenLatencyBudgetFast'
    """
    speed = {0: "Fast", 1: "Steady", 2: "Slow"}[RULES.index(rule)]
    return f"Leaven{slo.kind.name.title()}Budget{speed}"


def _recorded(slo: Slo, window: str) -> str:
    """The name of the share of bad requests in a window."""
    if slo.kind.name == "latency":
        mark = number(within(slo)).replace(".", "_")
        return f"model:leaven_requests_over_{mark}s:ratio_rate{window}"
    what = {"errors": "requests_failed", "abstaining": "predictions_reviewed"}[slo.kind.name]
    return f"model:leaven_{what}:ratio_rate{window}"


def _ratios(slo: Slo) -> list[dict[str, Any]]:
    """The share of bad ones, by service, over each window."""
    return [
        {"record": _recorded(slo, window), "expr": _ratio(slo, window)}
        for window in map(span, WINDOWS)
    ]


def _ratio(slo: Slo, window: str) -> str:
    return f"{_bad(slo, window)} / {_all(slo, window)}"


def _all(slo: Slo, window: str, over: str = "rate") -> str:
    if slo.kind.name == "abstaining":
        return f"sum by (model) ({over}(leaven_predictions_total[{window}]))"
    metric = "leaven_http_requests_total"
    if slo.kind.name == "latency":
        metric = "leaven_http_request_duration_seconds_count"
    return f'sum by (model) ({over}({metric}{{route=~"{ANSWERING}"}}[{window}]))'


def _bad(slo: Slo, window: str, over: str = "rate") -> str:
    """Bad ones a second, or with `increase` their number; nought where there was none yet."""
    every = _all(slo, window, over)
    if slo.kind.name == "latency":
        metric = "leaven_http_request_duration_seconds_bucket"
        le = number(within(slo))
        quick = f'sum by (model) ({over}({metric}{{route=~"{ANSWERING}",le="{le}"}}[{window}]))'
        return f"({every} - {quick})"
    if slo.kind.name == "errors":
        metric = "leaven_http_requests_total"
        wrong = f'{metric}{{route=~"{ANSWERING}",status=~"5.."}}'
    else:
        wrong = 'leaven_predictions_total{route="review"}'
    return f"(sum by (model) ({over}({wrong}[{window}])) or 0 * {every})"


def _times() -> list[dict[str, Any]]:
    """Requests a second, and how long they take."""
    routes, metric = f'route=~"{ANSWERING}"', "leaven_http_request_duration_seconds_bucket"
    return [
        {
            "record": "model:leaven_requests:rate5m",
            "expr": f"sum by (model) (rate(leaven_http_requests_total{{{routes}}}[5m]))",
        },
        *(
            {
                "record": f"model:leaven_request_seconds:p{level}_5m",
                "expr": f"histogram_quantile({level / 100:g}, sum by (model, le) "
                f"(rate({metric}{{{routes}}}[5m])))",
            }
            for level in (50, 95, 99)
        ),
    ]  # fmt: skip


def _burns(slo: Slo, rule: Rule, told: Objectives) -> dict[str, Any]:
    """The alert of one burn rate: over both windows, and of enough bad requests."""
    assert slo.target is not None
    rate = rule.rate(slo.days * _DAY)
    needed = f"{rate * (1 - slo.target):.10g}"
    long, short = span(rule.long), span(rule.short)
    mine = _services(slo)
    expr = (
        f"{_recorded(slo, long)}{mine} >= {needed} "
        f"and {_recorded(slo, short)}{mine} >= {needed} "
        f"and {_bad(slo, long, 'increase')} >= {slo.least}"
    )
    said = slo.kind.said.format(within=f"{slo.within:g} s" if slo.within is not None else "")
    return _alert(
        burn_rule(slo, rule), expr, "0s", rule.severity,
        f"{{{{ $labels.model }}}}: {{{{ $value | humanizePercentage }}}} of the requests {said} "
        f"in {long}, {rate:g} times what the promise of {slo.target:.6%} allows.",
        slo.runbook or f"{told.alerts.runbooks}{slo.kind.name}.md",
        slo=slo.name,
    )  # fmt: skip


def _figures(slo: Slo, alerting: Alerting) -> list[dict[str, Any]]:
    """Alerts on what waits for people, where that is promised."""
    metrics = {
        "backlog": ("LeavenReviewBacklog", "leaven_review_backlog", "records wait for review"),
        "waiting": ("LeavenReviewWaiting", "leaven_review_oldest_seconds",
                    "is for how long the oldest record waits for review"),
    }  # fmt: skip
    if slo.kind.name not in metrics or slo.target is None:
        return []
    name, metric, said = metrics[slo.kind.name]
    grace = alerting.grace if slo.grace is None else slo.grace
    value = "{{ $value }}" if slo.kind.name == "backlog" else "{{ $value | humanizeDuration }}"
    return [
        _alert(
            name, f"{metric}{_services(slo)} > {slo.target:.10g}", f"{grace:.0f}s", "ticket",
            f"{{{{ $labels.model }}}}: {value} {said}; the promise is {slo.target:g} at most.",
            slo.runbook or f"{alerting.runbooks}{slo.kind.name}.md", slo=slo.name,
        )
    ]  # fmt: skip


def _states(runbooks: str) -> list[dict[str, Any]]:
    """Alerts on what is wrong whatever was promised."""
    model = "{{ $labels.model }}"
    return [
        _alert(
            "LeavenDown", 'up{job="leaven"} == 0', "2m", "page",
            "{{ $labels.instance }} does not answer.", f"{runbooks}server-down.md",
        ),
        _alert(
            "LeavenNoLiveModel", "sum by (model) (leaven_ready) == 0", "1m", "page",
            f"{model}: no server has a model loaded, so every request is refused.",
            f"{runbooks}no-live-model.md",
        ),
        _alert(
            "LeavenSwapFailing", "sum by (model) (leaven_swap_failing) > 0", "5m", "ticket",
            f"{model}: what serves is not what was released.", f"{runbooks}no-live-model.md",
        ),
        _alert(
            "LeavenCanaryRolledBack",
            "time() - max by (model) (leaven_canary_rolled_back_timestamp_seconds) < 3600",
            "0s", "ticket", f"{model}: the guard took a canary back within the last hour.",
            f"{runbooks}canary.md",
        ),
        _alert(
            "LeavenLogFailing", "sum by (model) (leaven_log_failing) > 0", "5m", "ticket",
            f"{model}: predictions cannot be written to the log.", f"{runbooks}log.md",
        ),
        _alert(
            "LeavenLogLost", "sum by (model) (increase(leaven_log_dropped_total[15m])) > 0", "0s",
            "ticket", f"{model}: {{{{ $value | humanize }}}} predictions were lost in 15 min.",
            f"{runbooks}log.md",
        ),
        _alert(
            "LeavenRefusing",
            f'sum by (model) (rate(leaven_http_requests_total{{route=~"{ANSWERING}",'
            'status="429"}[15m])) / sum by (model) (rate(leaven_http_requests_total'
            f'{{route=~"{ANSWERING}"}}[15m])) > 0.05',
            "15m", "ticket",
            f"{model}: {{{{ $value | humanizePercentage }}}} of the requests are refused, "
            "because too many come.",
            f"{runbooks}latency.md",
        ),
    ]  # fmt: skip


def _alert(
    name: str, expr: str, lasts: str, severity: str, summary: str, runbook: str, **labels: str
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": lasts,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary, "runbook_url": runbook},
    }


def _services(slo: Slo) -> str:
    """The matcher of the services that an objective is about; none for all."""
    if not slo.services:
        return ""
    names = "|".join(re.escape(name) for name in slo.services)
    names = names.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{model=~"{names}"}}'
