"""A real Label Studio: on a free port of this machine, in a folder of its own, ended afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx

from tests.label_studio.make_server import DATABASE, environment, home, python

__all__ = ["MISSING", "Server"]

MAIL, PASSWORD = "anna@example.org", "correct horse 8"
LEGACY = "0123456789abcdef0123456789abcdef01234567"
#: Its guards against requests into the own network refuse a model on this very machine.
_OURS = {"SSRF_PROTECTION_ENABLED": "false", "ML_BLOCK_LOCAL_IP": "false"}

#: Why the tests that need a server are left out; None where there is one.
MISSING = (
    None
    if (home() / "complete").is_file()
    else "There is no Label Studio to test with: python tests/label_studio/make_server.py makes it"
)


class Server:
    """A server with one user, Anna, whose legacy token is `LEGACY`."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        shutil.copy(home() / "empty" / DATABASE, folder / DATABASE)
        self.port = port or _free()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    python(), "-m", "label_studio.server", "start", "--no-browser",
                    "--data-dir", self._folder, "--internal-host", "127.0.0.1",
                    "--port", str(self.port), "--username", MAIL, "--password", PASSWORD,
                    "--user-token", LEGACY, "--enable-legacy-api-token", "--log-level", "ERROR",
                ],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=environment() | _OURS, cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 180
        while time.monotonic() < end:
            assert self._process.poll() is None, self.log()
            try:
                with urllib.request.urlopen(self.address + "/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        raise AssertionError(f"Label Studio did not come up: {self.log()}")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def log(self) -> str:
        """The end of what it said."""
        return (self._folder / "log.txt").read_text(errors="replace")[-4000:]

    def call(self, method: str, path: str, token: str = LEGACY, **told: Any) -> Any:
        """What its interface answers, as whoever has the token."""
        head = {"Authorization": f"Token {token}"}
        answer = httpx.request(method, self.address + path, headers=head, timeout=60, **told)
        assert answer.is_success, (method, path, answer.status_code, answer.text[:2000])
        return answer.json() if answer.content else None

    def person(self, mail: str) -> str:
        """A further user of the organisation; their legacy token."""
        link = self.call("POST", "/api/invite/reset-token")["invite_url"]
        with httpx.Client(base_url=self.address, follow_redirects=True, timeout=60) as browser:
            page = browser.get(link)
            token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
            form = {"email": mail, "password": PASSWORD, "csrfmiddlewaretoken": token}
            answer = browser.post(link, data=form, headers={"Referer": self.address})
            assert answer.is_success, answer.text[:500]
            found: str = browser.get("/api/current-user/token").json()["token"]
            return found


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
