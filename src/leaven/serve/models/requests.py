"""Reading a request and writing its answer: bodies within bounds, JSON, ids and keys."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from leaven.serve.models.limits import Limits, Refused

__all__ = [
    "KEY",
    "WHOLE",
    "Headed",
    "Intake",
    "answered",
    "headers_of",
    "identity",
    "new_id",
    "parts",
    "plain_json",
    "printable",
    "refusal",
]

#: The header that says whose request it is: one key is always answered by the same model.
KEY = "x-request-key"
#: What the scope of a request has once all of it has come.
WHOLE = "leaven.whole"
_HEADERS = "leaven.headers"  # where a scope keeps what `headers_of` found
_ID = 200  # characters of an id or key
_PARTS = 64  # of a form, beside its records
# Asking the system for each would cost more than the rest of an id.
_IDS = random.Random(secrets.token_bytes(32))


def new_id() -> str:
    """32 hexadecimal digits that no other request has: the milliseconds since 1970, and 80 random
    bits.

    As they grow with time, what is logged together stands together in the index of a store.
    """
    return f"{time.time_ns() // 1_000_000:012x}{_IDS.getrandbits(80):020x}"


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a request by their names in small letters; of several alike the first.

    Starlette's `Headers` goes through all of them at each look.
    """
    found: dict[str, str] | None = scope.get(_HEADERS)
    if found is None:
        told = reversed(scope["headers"])
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in told}
        scope[_HEADERS] = found
    return found


class Headed(Request):
    """A request that looks its headers up by `headers_of`."""

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        """Its headers by name."""
        return headers_of(self.scope)


class _Json(Response):
    """An answer in JSON."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """See Starlette, which would look whether others are given."""
        length = b"%d" % len(self.body)
        self.raw_headers = [(b"content-type", b"application/json"), (b"content-length", length)]


def answered(content: object, status: int = 200, after: BackgroundTask | None = None) -> Response:
    """JSON; `after` follows once it is sent."""
    try:
        told = to_json(content, inf_nan_mode="strings")
    except PydanticSerializationError:  # half a character, which UTF-8 does not have
        told = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    return _Json(told, status, background=after)


def refusal(refused: Refused) -> Response:
    """The answer to a request that is not answered: `{"error": …}`."""
    response = answered({"error": refused.sentence}, refused.status)
    if refused.retry:
        response.headers["retry-after"] = str(refused.retry)
    if refused.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


class Intake:
    """Takes the bodies of requests in, so that all of them together stay within bounds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        #: Bytes of the requests that are under way.
        self.held = 0

    def has_room(self, size: int) -> bool:
        """Whether a body of so many bytes is within bounds now."""
        return size <= min(self._limits.body, self._limits.held - self.held)

    def body(self, request: Request) -> _Body:
        """All of a body, by `async with`: held until the request is answered.

        Refused for one that is too large (413), does not come (408), is broken off (400), or would
        be too much (429).
        """
        return _Body(self, request, self._limits)


class _Body:
    """The body of one request, counted among all that are held."""

    def __init__(self, intake: Intake, request: Request, limits: Limits) -> None:
        self._intake, self._request, self._limits = intake, request, limits
        self._size = 0

    async def __aenter__(self) -> bytes:
        limits, request = self._limits, self._request
        told = request.headers.get("content-length", "0")
        if told.isascii() and told.isdigit() and len(told) < 20:
            self._check(int(told))
        try:
            # What is there already is not waited for: a timer would cost more than reading it.
            async with nullcontext() if WHOLE in request.scope else asyncio.timeout(limits.seconds):
                return await self._read()
        except BaseException as failed:
            await self.__aexit__()
            if isinstance(failed, TimeoutError):
                late = f"The request did not come within {limits.seconds:g} s."
                raise Refused(408, late) from None
            raise

    async def __aexit__(self, *_: object) -> None:
        self._intake.held -= self._size

    async def _read(self) -> bytes:
        found, more = bytearray(), True
        while more:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "The request was not sent to its end.")
            more = message.get("more_body", False)
            found += message.get("body", b"")
            self._intake.held += len(found) - self._size
            self._size = len(found)
            self._check(self._size)
            if self._intake.held > self._limits.held:
                raise Refused(429, "Too much is under way. Try again.", retry=1)
        return bytes(found)

    def _check(self, size: int) -> None:
        if size > self._limits.body:
            raise Refused(413, f"A request has {self._limits.body} bytes at most.")


def plain_json(request: Request, told: bytes) -> Any:
    """What a body of JSON says; Refused for anything else.

    A body of which no kind is told is taken for JSON: clients of the protocol tell none. What
    another page could send so the door has refused.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", ""):
        raise Refused(415, "A request is application/json. Set its content-type.")
    try:
        return from_json(told, allow_inf_nan=False, cache_strings="keys")
    except ValueError as wrong:
        raise Refused(400, f"The body is no JSON: {str(wrong)[:200]}.") from None


def identity(request: Request, told: object = None) -> str:
    """The id of a request: as its body or X-Request-Id says, else a new one."""
    if told is None:
        told = request.headers.get("x-request-id")
    return new_id() if told is None else printable("id", told)


def printable(name: str, told: object) -> str:
    """A short text of printable characters; Refused for anything else."""
    if not isinstance(told, str) or not 0 < len(told) <= _ID or not told.isprintable():
        raise Refused(422, f"'{name}' must be 1 to {_ID} printable characters.")
    return told


def parts(request: Request, told: bytes, limits: Limits) -> list[tuple[str, str | None, bytes]]:
    """The parts of a form (RFC 7578): (name, file name or None, content); Refused for no form."""
    kind, _, more = request.headers.get("content-type", "").partition(";")
    marks = [one.strip() for one in more.split(";")]
    mark = next((one[9:].strip('"') for one in marks if one.lower().startswith("boundary=")), "")
    if kind.strip().lower() != "multipart/form-data" or not 0 < len(mark) <= 70:
        raise Refused(415, "A form is multipart/form-data with a boundary.")
    sign = b"\r\n--" + mark.encode("latin-1", "replace")
    pieces = (b"\r\n" + told).split(sign, limits.records + _PARTS + 2)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise Refused(400, f"The form is not whole, or has over {limits.records} parts.")
    found = []
    for piece in pieces[1:-1]:
        head, gap, content = piece.partition(b"\r\n\r\n")
        if not gap or len(head) > 4096:
            raise Refused(400, "A part of the form has no head.")
        found.append((*_named(head), content))
    return found


def _named(head: bytes) -> tuple[str, str | None]:
    """The name of a part, and that of its file, which is used for nothing but to see it is one."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        title, _, value = line.partition(":")
        if title.strip().lower() != "content-disposition":
            continue
        told = {}
        for one in value.split(";")[1:]:
            key, _, quoted = one.partition("=")
            told[key.strip().lower()] = quoted.strip().strip('"')
        if "name" in told:
            return told["name"], told.get("filename")
    raise Refused(400, "A part of the form has no name.")
