"""A route to Prometheus' Alertmanager, by the second version of its interface.

Alertmanager forgets an alert at its `endsAt`. So one that stands is given until well after the next
reminder, which renews it, and one that was resolved the moment at which it was.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field, field_validator

from leaven.operate.objectives.message import Message, News
from leaven.operate.objectives.routes.posting import check_url, post
from leaven.operate.objectives.routes.route import RouteBase, secret

__all__ = ["AlertmanagerRoute"]


class AlertmanagerRoute(RouteBase):
    """Posts to `url`/api/v2/alerts, with the token that the variable `token_env` holds, if any."""

    kind: Literal["alertmanager"]
    url: str
    token_env: str = Field("", pattern=r"^[A-Za-z0-9_]*$")
    timeout: float = Field(10.0, gt=0, le=60)

    _url = field_validator("url")(check_url)

    def send(self, message: Message, now: float) -> None:
        """Post all alerts of the message; the same one posted again is the same to Alertmanager."""
        until = now + 2 * message.again_within
        body = json.dumps([_alert(one, message, until) for one in message.news]).encode()
        token = secret(self.token_env)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        post(f"{self.url.rstrip('/')}/api/v2/alerts", body, headers, timeout=self.timeout)


def _alert(one: News, message: Message, until: float) -> dict[str, Any]:
    return {
        "labels": {
            "alertname": one.slo,
            "service": message.service,
            "dataset": message.dataset,
            "severity": one.severity,
            "indicator": one.indicator,
        },
        "annotations": {
            "summary": one.sentence,
            "runbook": one.runbook,
            "command": one.command,
        },
        "startsAt": _time(one.began),
        "endsAt": _time(until if one.closed is None else one.closed),
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
