"""The requests by which a page asks for records and sends what a person says of them.

A page asks for three records ahead, and keeps each answer in the browser until the server has said
that it is in the database. An answer carries a key of the browser's own, so one that is sent twice
counts once. Answering and settling are the same four requests at two kinds of desks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from leaven.core.errors import StoreError
from leaven.label.queue import Receipt, Task
from leaven.serve.desk import LEASE

__all__ = ["AnyDesk", "Body", "Desks", "read", "routes"]

_Id = Annotated[int, Field(ge=1, lt=2**31)]
_Word = Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{8,64}$")]
_Ids = Annotated[list[_Id], Field(max_length=1000)]


class Body(BaseModel):
    """What a request says: nothing else, and nothing of another type."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Take(Body):
    window: _Word
    have: _Ids = []
    unsent: _Ids = []


class _Answer(Body):
    task: _Id
    choice: int | None
    key: _Word
    seconds: float | None = Field(None, ge=0, le=86_400)


class _Undo(Body):
    task: _Id
    window: _Word


class _Leave(Body):
    window: _Word


class AnyDesk(Protocol):
    """Where a person works: at the queue, or at what is disputed in it."""

    @property
    def place(self) -> str: ...
    def take(self, window: str, have: Sequence[int], unsent: Collection[int]) -> list[Task]: ...
    def answer(
        self, task: int, choice: int | None, *, key: str, seconds: float | None
    ) -> Receipt: ...
    def undo(self, task: int, window: str) -> Task | None: ...
    def leave(self, window: str) -> None: ...
    def last(self) -> int | None: ...
    def card(self, task: Task) -> str: ...
    def progress(self, *, exact: bool = True) -> dict[str, Any]: ...
    def close(self) -> None: ...


D = TypeVar("D", bound=AnyDesk)
B = TypeVar("B", bound=Body)


class Desks(Generic[D]):
    """A desk for each person who comes, made when they do."""

    def __init__(self, make: Callable[[str], D]) -> None:
        self._make = make
        self._desks: dict[str, D] = {}
        self._lock = threading.Lock()

    def of(self, request: Request) -> D:
        """That of who asks."""
        person = request.state.visitor.name
        with self._lock:
            if person not in self._desks:
                self._desks[person] = self._make(person)
            return self._desks[person]

    def close(self) -> None:
        """Give back whatever anybody holds; leases also end by themselves."""
        for desk in self._desks.values():
            try:
                desk.close()
            except StoreError:
                return


async def read(request: Request, kind: type[B]) -> B:
    """The body of a request; ValidationError where it is none of this kind."""
    return kind.model_validate_json(await request.body())


def routes(prefix: str, desks: Desks[D]) -> list[Route]:
    """Tasks, answer, undo and leave, below a prefix."""

    async def tasks(request: Request) -> Response:
        told = await read(request, _Take)
        return JSONResponse(await run_in_threadpool(_taken, desks.of(request), told))

    async def answer(request: Request) -> Response:
        told = await read(request, _Answer)
        receipt = await run_in_threadpool(
            desks.of(request).answer, told.task, told.choice, key=told.key, seconds=told.seconds
        )
        kept = {"event": receipt.event, "again": receipt.again, "late": receipt.late}
        return JSONResponse(kept)

    async def undo(request: Request) -> Response:
        told, desk = await read(request, _Undo), desks.of(request)
        task = await run_in_threadpool(desk.undo, told.task, told.window)
        given = None if task is None else await run_in_threadpool(_given, desk, task)
        return JSONResponse({"task": given})

    async def leave(request: Request) -> Response:
        told = await read(request, _Leave)
        await run_in_threadpool(desks.of(request).leave, told.window)
        return JSONResponse({})

    named = {"tasks": tasks, "answer": answer, "undo": undo, "leave": leave}
    return [Route(f"{prefix}/{name}", one, methods=["POST"]) for name, one in named.items()]


def _taken(desk: AnyDesk, told: _Take) -> dict[str, Any]:
    found = desk.take(told.window, told.have, told.unsent)
    have = set(told.have)
    return {
        "tasks": [_given(desk, task, drawn=task.id not in have) for task in found],
        "lease": LEASE,
        "last": desk.last(),
        "progress": desk.progress(exact=not found),
    }


def _given(desk: AnyDesk, task: Task, *, drawn: bool = True) -> dict[str, Any]:
    """A task for the page; it has the card already of one that is not drawn."""
    return {"task": task.id} | ({"html": desk.card(task)} if drawn else {})
