"""Label Studio's interface over HTTP: who asks, how long, how often, and how much is read.

Sources: the API of Label Studio 1.23 (`/docs/api`), whose personal access tokens are refresh
tokens of JSON Web Tokens: `POST /api/token/refresh/` gives one that works for some minutes.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from leaven.core.errors import LeavenError, SettingError

__all__ = ["Client", "StudioError"]

_SECONDS = 60.0
_TRIES = 4
_PAUSE = 0.5  # seconds before the second try, twice as long before each further one
_LATER = frozenset({429, 502, 503, 504})
_LARGEST = 64 * 1024 * 1024  # bytes of an answer
_PAGE = 100
_SAID = 300  # characters of what a server said that are repeated
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class StudioError(LeavenError):
    """Label Studio cannot be reached, refuses, or answers what cannot be used.

    `status` is that of its answer, None where there was none. `sent` says whether what was asked
    for may have happened all the same.
    """

    def __init__(self, message: str, *, status: int | None = None, sent: bool = True) -> None:
        self.status, self.sent = status, sent
        super().__init__(message)


class Client:
    """A Label Studio server, as one user.

    Parameters
    ----------
    url : its address, such as `https://labels.example.org`.
    token : a legacy token (40 digits) or a personal access token, as its account page shows them.
    seconds : how long an answer may take.

    Nothing is asked before the first call. Requests that only read are tried again where the
    connection or the server fails; what changes something only where it was not sent. No redirect
    is followed: it would carry the token elsewhere.

    Raises SettingError for an address or a token that is none.
    """

    def __init__(self, url: str, token: str, *, seconds: float = _SECONDS) -> None:
        self.address = _address(url)
        if not re.fullmatch(r"[\x21-\x7e]{6,8192}", token):
            wanted = "a token as the account page of Label Studio shows it"
            raise SettingError("token", wanted, f"{len(token)} characters")
        self._token, self._seconds = token, seconds
        self._is_refresh = bool(_JWT.fullmatch(token))
        self._access: str | None = None
        self._open = urllib.request.build_opener(_Stay()).open

    def __repr__(self) -> str:
        return f"Client({self.address!r})"

    def get(self, path: str, **query: Any) -> Any:
        """What the server answers, read from JSON."""
        return self._call("GET", path + (f"?{urlencode(query)}" if query else ""))

    def post(self, path: str, told: Any) -> Any:
        """Send JSON to be added."""
        return self._call("POST", path, json.dumps(told, allow_nan=False).encode())

    def patch(self, path: str, told: Any) -> Any:
        """Send JSON to be changed."""
        return self._call("PATCH", path, json.dumps(told, allow_nan=False).encode())

    def upload(self, path: str, files: Sequence[tuple[str, str, bytes]]) -> Any:
        """Send files: name, media type, content."""
        edge = secrets.token_hex(16)
        body = bytearray()
        for number, (name, kind, content) in enumerate(files):
            body += (
                f'--{edge}\r\nContent-Disposition: form-data; name="file{number}"; '
                f'filename="{quote(name)}"\r\nContent-Type: {kind}\r\n\r\n'
            ).encode()
            body += content + b"\r\n"
        body += f"--{edge}--\r\n".encode()
        return self._call("POST", path, bytes(body), f"multipart/form-data; boundary={edge}")

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """All tasks of a project with their annotations and predictions, in the order of ids."""
        seen, page = 0, 1
        while True:
            told = self.get(
                "/api/tasks/", project=project, page=page, page_size=_PAGE, fields="all",
                resolve_uri="false",
            )  # fmt: skip
            found, total = _field(told, "tasks", list), _field(told, "total", int)
            yield from (one for one in found if isinstance(one, dict))
            seen += len(found)
            if not found or seen >= total:
                return
            page += 1

    def projects(self, title: str) -> list[dict[str, Any]]:
        """The projects of exactly this name, the oldest first."""
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            told = self.get("/api/projects/", page=page, page_size=_PAGE, title=title)
            found += [one for one in _field(told, "results", list) if one.get("title") == title]
            if not told.get("next"):
                return sorted(found, key=lambda one: int(one["id"]))
            page += 1

    def people(self) -> dict[int, str]:
        """The e-mail addresses of the organisation's users, by their numbers."""
        told = self.get("/api/users/")
        users = told.get("results", []) if isinstance(told, dict) else told
        if not isinstance(users, list):
            raise _odd(self.address, "a list of users")
        return {int(one["id"]): str(one.get("email") or f"user {one['id']}") for one in users}

    def _call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        """One request, with as many tries as it may have; its JSON, None for an empty answer."""
        renewed = False
        for attempt in range(1, _TRIES + 1):
            try:
                return self._once(method, path, body, kind, self._authorised())
            except StudioError as failed:
                if failed.status == 401 and self._is_refresh and not renewed:
                    self._access, renewed = None, True
                    continue
                again = not failed.sent or (method == "GET" and failed.status in (_LATER | {None}))
                if not again or attempt == _TRIES:
                    raise
                time.sleep(_PAUSE * 2 ** (attempt - 1))
        raise AssertionError("the last try returns or raises")

    def _authorised(self) -> str:
        """What the header of a request says of who asks."""
        if not self._is_refresh:
            return f"Token {self._token}"
        if self._access is None:
            told = json.dumps({"refresh": self._token}).encode()
            given = self._once("POST", "/api/token/refresh/", told, "", None)
            self._access = _field(given, "access", str)
        return f"Bearer {self._access}"

    def _once(
        self, method: str, path: str, body: bytes | None, kind: str, authorisation: str | None
    ) -> Any:
        head = {"Accept": "application/json", "User-Agent": "leaven"}
        if body is not None:
            head["Content-Type"] = kind or "application/json"
        if authorisation is not None:
            head["Authorization"] = authorisation
        asked = urllib.request.Request(  # noqa: S310 - `_address` lets http and https through
            self.address + path, data=body, method=method, headers=head
        )
        try:
            with self._open(asked, timeout=self._seconds) as answer:
                text = answer.read(_LARGEST + 1)
        except urllib.error.HTTPError as refused:
            with refused:
                said = refused.read(_SAID * 8)
            raise _refused(self.address, method, path, refused.code, said) from None
        except (OSError, http.client.HTTPException) as failed:
            raise _unreachable(self.address, failed) from failed
        if len(text) > _LARGEST:
            raise StudioError(
                f"{self.address} answers with over {_LARGEST // 2**20} MB. Is it Label Studio?"
            )
        try:
            return json.loads(text) if text.strip() else None
        except (ValueError, RecursionError):
            raise _odd(self.address, "JSON") from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it comes out as the status that it is."""

    def redirect_request(self, *told: Any, **more: Any) -> None:
        """None: there is no further request."""


def _address(url: str) -> str:
    wanted = "the address of Label Studio, such as https://labels.example.org"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise SettingError("url", wanted, url) from None
    odd = not url.strip().isprintable() or " " in url.strip() or port == 0
    if parts.scheme not in ("http", "https") or not parts.hostname or odd:
        raise SettingError("url", wanted, url)
    if parts.username is not None or parts.query or parts.fragment:
        # What stands there may be a password: it is not repeated.
        raise SettingError("url", wanted, "one with more in it", "Leave out user, ? and #.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _field(told: Any, name: str, kind: type) -> Any:
    if not isinstance(told, Mapping) or not isinstance(told.get(name), kind):
        raise StudioError(f"Label Studio answers without '{name}'. Is this its address?")
    return told[name]


def _unreachable(address: str, failed: Exception) -> StudioError:
    reason = getattr(failed, "reason", failed)
    sent = not isinstance(reason, ConnectionRefusedError)
    why = "the time ran out" if isinstance(reason, TimeoutError) else f"{reason}".rstrip(".")
    return StudioError(
        f"{address} does not answer: {why or type(reason).__name__}. Is the server up, and is this "
        "its address?",
        sent=sent,
    )


def _odd(address: str, wanted: str) -> StudioError:
    return StudioError(f"{address} answers with what is not {wanted}. Is this Label Studio?")


def _refused(address: str, method: str, path: str, status: int, said: bytes) -> StudioError:
    """What the server said in its refusal, in one line."""
    where = f"{method} {path.partition('?')[0]}"
    text = _detail(said)
    if status == 401:
        told = (
            f"{address} does not know this token. Copy it again from the account page; legacy "
            "tokens work only where the organisation allows them."
        )
    elif status == 403:
        told = f"{address} does not allow {where}{text}"
    elif 300 <= status < 400:
        told = (
            f"{address} sends elsewhere (status {status}). Give the address that it has in the "
            "browser, https where it has that."
        )
    else:
        told = f"{address} refuses {where} with status {status}{text}"
    return StudioError(told, status=status)


def _detail(said: bytes) -> str:
    """What a refusal says, in one printable line that begins with a colon; nothing of a page."""
    text = said.decode(errors="replace")
    with suppress(ValueError, RecursionError):
        told = json.loads(text)
        detail = (
            told.get("validation_errors") or told.get("detail") if isinstance(told, dict) else ""
        )
        text = detail if isinstance(detail, str) else json.dumps(detail or told)
    text = " ".join(text.split())[:_SAID]
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return f": {text.rstrip('.')}." if text and not text.startswith("<") else "."
