"""A function for serverless platforms that calls it with an event, as AWS Lambda does.

The event is `{"records": [{…}, …]}`, one record, or an HTTP request of a gateway with such a JSON
`body`; the answer is that of `predict`, or for a gateway a response with it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from leaven.data.portable.model import DESCRIPTION, Model

__all__ = ["MOST", "handler"]

#: Records that one event may have.
MOST = 256

_FOLDER = Path(__file__).resolve().parent


@cache
def _model() -> Model:
    """The model that lies beside, loaded once a process."""
    return Model.load(_FOLDER)


class _Refused(Exception):
    """An event that is not answered: HTTP status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Answer an event; `context` is not read."""
    gateway = isinstance(event, Mapping) and "body" in event and "body" not in _model().columns
    try:
        status, told = 200, _answered(_body(event) if gateway else event)
    except _Refused as refused:
        status, told = refused.status, {"error": str(refused)}
    if not gateway:
        return told
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(told, ensure_ascii=False, allow_nan=False),
    }


def _answered(given: Any) -> dict[str, Any]:
    several = (
        isinstance(given, Mapping) and "records" not in _model().columns and given.get("records")
    )
    records = several if isinstance(several, list) else [given]
    if len(records) > MOST:
        raise _Refused(413, f"An event has {MOST} records at most: {len(records)} came.")
    return {"predictions": _model().predict(records)}


def _body(event: Mapping[str, Any]) -> Any:
    told = event["body"] or ""
    try:
        if event.get("isBase64Encoded"):
            told = base64.b64decode(told, validate=True)
        return json.loads(told)
    except (TypeError, ValueError, binascii.Error, RecursionError):
        raise _Refused(400, "The body must be JSON.") from None


if (_FOLDER / DESCRIPTION).is_file():
    _model()  # while the platform starts the process, not at its first event
