"""A route by e-mail: one plain text to all recipients, over SMTP with TLS."""

from __future__ import annotations

import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from leaven.core.errors import SettingError
from leaven.operate.objectives.message import Message
from leaven.operate.objectives.routes.route import RouteBase, RouteError, secret

__all__ = ["MailRoute"]

_Address = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+$", max_length=254)
]


def _host(host: str) -> str:
    if not host or not host.isascii() or any(sign <= " " for sign in host):
        raise SettingError("host", "the name of a mail server", host)
    return host


class MailRoute(RouteBase):
    """Mails from `sender` to `to` by the server `host`.

    `tls` is `starttls` (port 587), `tls` from the first byte (465) or `none` (25). With `user` the
    password is what the environment variable `password_env` holds, and never sent without TLS.
    `ca` is a file of certificates that vouch for the server, by default those of the system.
    """

    kind: Literal["mail"]
    host: Annotated[str, AfterValidator(_host)]
    port: int | None = Field(None, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca: str = ""
    user: str = ""
    password_env: str = Field("", pattern=r"^[A-Za-z0-9_]*$")
    sender: _Address
    to: tuple[_Address, ...] = Field(min_length=1, max_length=50)
    timeout: float = Field(20.0, gt=0, le=60)

    @model_validator(mode="after")
    def _safe(self) -> MailRoute:
        if self.user and self.tls == "none":
            raise SettingError("tls", "starttls or tls, for a password is sent", self.tls)
        if bool(self.user) != bool(self.password_env):
            raise SettingError("user", "given together with password_env", self.user)
        return self

    def send(self, message: Message, now: float) -> None:
        """Mail it. A mail that was sent twice has one Message-ID, by which most readers join it."""
        password = secret(self.password_env)
        try:
            with self._connected() as server:
                if self.tls == "starttls":
                    server.starttls(context=self._context())
                if self.user:
                    server.login(self.user, password)
                server.send_message(self._mail(message), self.sender, list(self.to))
        except (OSError, smtplib.SMTPException) as failed:
            code = getattr(failed, "smtp_code", None)
            again = not isinstance(code, int) or code < 500
            said = f"{type(failed).__name__}: {failed}"[:300]
            raise RouteError(f"{self.host} did not take the mail: {said}.", again=again) from failed

    def _connected(self) -> smtplib.SMTP:
        port = self.port or {"starttls": 587, "tls": 465, "none": 25}[self.tls]
        if self.tls == "tls":
            return smtplib.SMTP_SSL(self.host, port, timeout=self.timeout, context=self._context())
        return smtplib.SMTP(self.host, port, timeout=self.timeout)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca or None)

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
        mail["Message-ID"] = f"<{message.key}@{self.sender.partition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail
