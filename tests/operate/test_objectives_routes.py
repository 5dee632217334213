"""Routes with real receivers: a web hook, a mail server, a log, Alertmanager."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from leaven.core.errors import SettingError
from leaven.operate.objectives.message import Message, News
from leaven.operate.objectives.routes.alertmanager import AlertmanagerRoute
from leaven.operate.objectives.routes.log import LogRoute
from leaven.operate.objectives.routes.mail import MailRoute
from leaven.operate.objectives.routes.route import RouteError
from leaven.operate.objectives.routes.webhook import WebhookRoute
from tests.operate.receivers import Receiver, listening

receiver = pytest.fixture(listening)
elsewhere = pytest.fixture(listening)

NOW = 1_700_000_000.0


def news(event: str = "opened", **more: Any) -> News:
    told = {
        "id": 1, "event": event, "slo": "errors", "indicator": "errors", "severity": "page",
        "began": NOW - 600, "opened": NOW - 60, "closed": NOW if event == "resolved" else None,
        "sentence": "9 of 90 requests failed.", "value": 0.1, "low": 0.05, "high": 0.18, "n": 90,
        "target": 0.999, "runbook": "docs/runbooks/errors.md",
        "command": "leaven releases tickets",
    }  # fmt: skip
    return News(**(told | more))


def message(*told: News, **more: Any) -> Message:
    common = {
        "key": "k" * 64, "service": "tickets", "dataset": "mail", "at": NOW,
        "again_within": 3600.0, "news": told or (news(),),
    }  # fmt: skip
    return Message(**(common | more))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_message_says_what_is_new_since_when_and_what_to_do():
    told = message(
        news(), news("resolved", slo="latency", severity="ticket"), news("stands", slo="x")
    )
    assert told.severity == "page"
    assert told.subject == "[page] tickets: 1 alert opened, 1 resolved (errors, latency, x)"
    assert "OPENED, page: errors, since 2023-11-14 22:03 UTC\n9 of 90" in told.text
    assert "Type: leaven releases tickets\nRead: docs/runbooks/errors.md" in told.text
    assert "RESOLVED, ticket: latency, since 2023-11-14 22:03 UTC, until 2023-11-14" in told.text
    assert told.text.index("OPENED") < told.text.index("RESOLVED") < told.text.index("Open as well")
    assert Message.of(json.loads(json.dumps(told.told()))) == told
    two = message(news("resolved"), news("stands", slo="x"))
    assert two.subject == "[page] tickets: 1 alert resolved (errors, x)"


# Web hooks


def test_a_web_hook_gets_what_it_can_verify(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    url = f"{receiver.url}?to=us"
    route = WebhookRoute(name="a", kind="webhook", url=url, secret_env="HOOK_SECRET")
    route.send(message(), NOW)
    ((path, headers, body),) = receiver.came
    assert path == "/hook?to=us"
    at, _, made = headers["X-Leaven-Signature"].partition(",v1=")
    signed = f"{at.removeprefix('t=')}.".encode() + body
    assert hmac.compare_digest(made, hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest())
    assert at == f"t={NOW:.0f}"
    assert headers["Idempotency-Key"] == "k" * 64
    told = json.loads(body)
    assert (told["key"], told["severity"], told["news"][0]["slo"]) == ("k" * 64, "page", "errors")
    monkeypatch.delenv("HOOK_SECRET")
    with pytest.raises(SettingError, match="'HOOK_SECRET' must be set in the environment"):
        route.send(message(), NOW)


def test_a_redirect_is_not_followed(receiver: Receiver, elsewhere: Receiver):
    receiver.answers, receiver.location = [302, 307, 308], elsewhere.url
    route = WebhookRoute(name="a", kind="webhook", url=receiver.url)
    for _ in range(3):
        with pytest.raises(RouteError, match="which is not followed") as refused:
            route.send(message(), NOW)
        assert not refused.value.again
    assert not elsewhere.arrived.is_set()


def test_what_may_work_later_is_told_from_what_will_not(receiver: Receiver):
    route = WebhookRoute(name="a", kind="webhook", url=receiver.url)
    for status, again in ((400, False), (401, False), (429, True), (500, True), (503, True)):
        receiver.answers = [status]
        with pytest.raises(RouteError, match=f"127.0.0.1 answered {status}: ok") as refused:
            route.send(message(), NOW)
        assert refused.value.again is again
    nobody = WebhookRoute(name="a", kind="webhook", url=f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(RouteError, match="cannot be reached: ConnectionRefusedError") as refused:
        nobody.send(message(), NOW)
    assert refused.value.again


def test_who_does_not_answer_is_not_waited_for(receiver: Receiver):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        route = WebhookRoute(name="a", kind="webhook", url=url, timeout=0.05)
        with pytest.raises(RouteError, match="cannot be reached: TimeoutError"):
            route.send(message(), NOW)


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "file:///etc/passwd", "http://", "http://ann:pw@a/", "http://a/\r\nX: y",
     "http://a:99999/", "http://[::1", "a"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_being_repeated(url: str):
    with pytest.raises(SettingError, match="'url' must be") as refused:
        WebhookRoute(name="a", kind="webhook", url=url)
    assert "pw" not in str(refused.value)


# The log


def test_a_log_has_a_line_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "alerts.jsonl"
    route = LogRoute(name="a", kind="log", file=str(file))
    for service in ("tickets", "mail\nbox"):
        route.send(message(service=service), NOW)
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["service"] for one in told] == ["tickets", "mail\nbox"]
    assert file.stat().st_mode & 0o007 == 0
    LogRoute(name="a", kind="log").send(message(), NOW)
    assert json.loads(capsys.readouterr().err)["subject"].startswith("[page] tickets")
    with pytest.raises(RouteError, match="cannot be written: Is a directory"):
        LogRoute(name="a", kind="log", file=str(tmp_path)).send(message(), NOW)


# Mail


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
    home = tmp_path_factory.mktemp("tls")
    cert, key = home / "cert.pem", home / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


class Mailbox:
    """Keeps what comes; refuses recipients that begin with `no`."""

    def __init__(self) -> None:
        self.came: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, to: str, _: Any) -> str:
        if to.startswith("no"):
            return "550 nobody here"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.came.append((session.authenticated, session.ssl is not None, envelope))
        return "250 OK"


@pytest.fixture
def mailbox(pair: tuple[Path, Path]) -> Iterator[tuple[Mailbox, int]]:
    """A mail server that wants TLS and the password `pw`, and its port."""
    import ssl

    controller = pytest.importorskip("aiosmtpd.controller")
    smtp = pytest.importorskip("aiosmtpd.smtp")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, pair))

    def known(server: Any, session: Any, envelope: Any, mechanism: str, told: Any) -> Any:
        is_right = (told.login, told.password) == (b"ann", b"pw")
        return smtp.AuthResult(success=is_right, handled=False)

    box = Mailbox()
    served = controller.Controller(
        box, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True,
        authenticator=known, auth_required=True,
    )  # fmt: skip
    served.start()
    yield box, served.port
    served.stop()


def mail_route(port: int, ca: Path | str, **more: Any) -> MailRoute:
    told = {
        "name": "m", "kind": "mail", "host": "localhost", "port": port, "ca": str(ca),
        "sender": "leaven@example.org", "to": ["ann@example.org"], "user": "ann",
        "password_env": "MAIL_PASSWORD", "timeout": 5,
    }  # fmt: skip
    return MailRoute.model_validate(told | more)


def test_a_mail_arrives_encrypted_and_says_all(
    mailbox: tuple[Mailbox, int], pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    box, port = mailbox
    monkeypatch.setenv("MAIL_PASSWORD", "pw")
    to = ["ann@example.org", "no@example.org", "ben@example.org"]
    bad = message(news(slo="errors", sentence="überall\r\nBcc: eve@example.org"),
                  service="tickets\r\nBcc: eve@example.org")  # fmt: skip
    mail_route(port, pair[0], to=to).send(bad, NOW)
    ((authenticated, encrypted, envelope),) = box.came
    assert (authenticated, encrypted) == (True, True)
    assert envelope.rcpt_tos == ["ann@example.org", "ben@example.org"]
    mail = message_from_bytes(envelope.content, policy=default)
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[page] tickets  Bcc: eve@example.org: 1 alert opened")
    assert mail["Message-ID"] == f"<{'k' * 64}@example.org>"
    assert "überall  Bcc: eve@example.org\nType: leaven releases" in mail.get_content().replace(
        "\r\n", "\n"
    )


def test_a_mail_that_is_not_taken_is_told(
    mailbox: tuple[Mailbox, int], pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    box, port = mailbox
    monkeypatch.setenv("MAIL_PASSWORD", "pw")
    with pytest.raises(RouteError, match="CERTIFICATE_VERIFY_FAILED"):
        mail_route(port, "").send(message(), NOW)
    with pytest.raises(RouteError, match="nobody here"):
        mail_route(port, pair[0], to=["no@example.org"]).send(message(), NOW)
    with pytest.raises(RouteError, match="cannot be reached|refused"):
        mail_route(free_port(), pair[0]).send(message(), NOW)
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")
    with pytest.raises(RouteError, match="SMTPAuthenticationError") as refused:
        mail_route(port, pair[0]).send(message(), NOW)
    assert not refused.value.again
    assert "wrong" not in str(refused.value)
    assert box.came == []


@pytest.mark.parametrize(
    "wrong",
    [{"tls": "none"}, {"user": ""}, {"to": []}, {"to": ["a@b\nBcc: c@d"]}, {"sender": "a b@c"},
     {"host": "a b"}],
)  # fmt: skip
def test_a_mail_route_that_is_unsafe_is_refused(wrong: dict[str, Any]):
    with pytest.raises((SettingError, ValueError)):
        mail_route(25, "", **wrong)


# Alertmanager


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """A real one, on loopback."""
    if (program := shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")) is None:
        pytest.skip("no Alertmanager is installed (Debian: prometheus-alertmanager)")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = free_port()
    server = subprocess.Popen(
        [program, f"--config.file={config}", f"--storage.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        for left in range(200, -1, -1):
            try:
                urlopen(f"{url}/-/ready").close()
                break
            except OSError:
                if not left or server.poll() is not None:
                    raise
                time.sleep(0.05)
        yield url
    finally:
        server.kill()
        server.wait()


def test_alertmanager_holds_what_stands_and_drops_what_is_resolved(alertmanager: str):
    def held() -> list[Any]:
        with urlopen(f"{alertmanager}/api/v2/alerts") as answer:
            return list(json.load(answer))

    route = AlertmanagerRoute(name="a", kind="alertmanager", url=f"{alertmanager}/")
    now = time.time()
    mine = {"began": now - 600, "opened": now - 60}
    for _ in range(2):  # sent again it is the same
        route.send(message(news(**mine), news(slo="latency", severity="ticket", **mine)), now)
    assert sorted(one["labels"]["alertname"] for one in held()) == ["errors", "latency"]
    one = next(one for one in held() if one["labels"]["alertname"] == "errors")
    assert one["labels"] == {
        "alertname": "errors", "service": "tickets", "dataset": "mail", "severity": "page",
        "indicator": "errors",
    }  # fmt: skip
    assert one["annotations"]["command"] == "leaven releases tickets"
    assert one["endsAt"] > one["startsAt"]
    route.send(message(news("resolved", **(mine | {"closed": now - 1}))), now)
    assert [one["labels"]["alertname"] for one in held()] == ["latency"]


def test_alertmanager_gets_a_token_and_an_end_after_the_next_reminder(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AM_TOKEN", "abc")
    url = receiver.url.removesuffix("/hook")
    route = AlertmanagerRoute(name="a", kind="alertmanager", url=url, token_env="AM_TOKEN")
    route.send(message(), NOW + 7)
    ((path, headers, body),) = receiver.came
    assert (path, headers["Authorization"]) == ("/api/v2/alerts", "Bearer abc")
    (alert,) = json.loads(body)
    assert alert["startsAt"] == "2023-11-14T22:03:20+00:00"
    assert alert["endsAt"] == "2023-11-15T00:13:27+00:00"  # twice the time to a reminder
