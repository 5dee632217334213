"""Reading a request and writing its answer: bodies within bounds, JSON, ids and keys."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_core import from_json
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from leaven.serve.models.limits import Limits, Refused

__all__ = [
    "KEY",
    "Intake",
    "answered",
    "identity",
    "new_id",
    "parts",
    "plain_json",
    "printable",
    "refusal",
]

#: The header that says whose request it is: one key is always answered by the same model.
KEY = "x-request-key"
_ID = 200  # characters of an id or key
_PARTS = 64  # of a form, beside its records
# Asking the system for each would cost more than the rest of an id.
_IDS = random.Random(secrets.token_bytes(32))


def new_id() -> str:
    """128 random bits in hex, that no other request has."""
    return f"{_IDS.getrandbits(128):032x}"


def answered(content: object, status: int = 200, after: BackgroundTask | None = None) -> Response:
    """JSON; `after` follows once it is sent."""
    told = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(
        told.encode("utf-8", "replace"), status, media_type="application/json", background=after
    )


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

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """All of a body, held until the request is answered.

        Refused for one that is too large (413), does not come (408), or would be too much (429).
        """
        limits, found, before = self._limits, bytearray(), 0
        most = f"A request has {limits.body} bytes at most."
        told = request.headers.get("content-length", "0")
        if told.isascii() and told.isdigit() and len(told) < 20 and int(told) > limits.body:
            raise Refused(413, most)
        try:
            try:
                async with asyncio.timeout(limits.seconds):
                    async for part in request.stream():
                        found += part
                        self.held, before = self.held + len(found) - before, len(found)
                        if len(found) > limits.body:
                            raise Refused(413, most)
                        if self.held > limits.held:
                            raise Refused(429, "Too much is under way. Try again.", retry=1)
            except TimeoutError:
                late = f"The request did not come within {limits.seconds:g} s."
                raise Refused(408, late) from None
            except ClientDisconnect:
                raise Refused(400, "The request was not sent to its end.") from None
            yield bytes(found)
        finally:
            self.held -= before


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
