"""A route to a web hook: JSON by POST, signed where both sides share a secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Literal

from pydantic import Field, field_validator

from leaven.operate.objectives.message import Message
from leaven.operate.objectives.routes.posting import check_url, post
from leaven.operate.objectives.routes.route import RouteBase, secret

__all__ = ["WebhookRoute", "signature"]


class WebhookRoute(RouteBase):
    """Posts to `url`. `secret_env` names the environment variable that holds the shared secret.

    `Idempotency-Key` is the same whenever a message is sent again.
    """

    kind: Literal["webhook"]
    url: str
    secret_env: str = Field("", pattern=r"^[A-Za-z0-9_]*$")
    timeout: float = Field(10.0, gt=0, le=60)

    _url = field_validator("url")(check_url)

    def send(self, message: Message, now: float) -> None:
        """Post it."""
        body = json.dumps(message.public() | {"text": message.text}, sort_keys=True).encode()
        headers = {"Idempotency-Key": message.key}
        if shared := secret(self.secret_env):
            headers["X-Leaven-Signature"] = signature(shared, body, int(now))
        post(self.url, body, headers, timeout=self.timeout)


def signature(shared: str, body: bytes, at: int) -> str:
    """HMAC-SHA-256 of time and body, so that a message cannot be made up, nor sent again late.

    >>> signature("key", b"{}", 7)[:20]
    't=7,v1=77bc83bd1f404'
    """
    made = hmac.new(shared.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"
