"""How a route has a model asked: soon where nothing would be waited for, else in its turn.

A route says how its requests are read and how answers are told in its words; the rest is the same
for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from leaven.serve.models.answering import Chosen, Service, Told
from leaven.serve.models.requests import answered

__all__ = ["Question", "Read", "ask", "ask_soon"]


class Question(NamedTuple):
    """What a request asks.

    Attributes
    ----------
    chosen : the model that is to answer.
    given : records.
    name : the request's id.
    tell : what the answer says, in the words of the route.
    """

    chosen: Chosen
    given: Sequence[object]
    name: str
    tell: Callable[[Told], object]


#: A route: what a request with this body asks; Refused for what cannot be answered.
Read = Callable[[Request, bytes], Question]


async def ask(service: Service, read: Read, request: Request) -> Response:
    """The answer to a request, whose body may be still to come. Raises as `Service.answer` does."""
    async with service.intake.body(request) as body:
        chosen, given, name, tell = read(request, body)
        told = await service.answer(chosen, given, name)
    return _answered(service, told, tell)


def ask_soon(
    service: Service,
    read: Read,
    request: Request,
    body: bytes,
    heard: Callable[[Response | Exception], None],
) -> bool:
    """The same for a request that is there whole; False where it must wait for its turn."""
    if not (service.is_free() and service.intake.has_room(len(body))):
        return False
    chosen, given, name, tell = read(request, body)

    def told(said: Told | Exception) -> None:
        answer: Response | Exception
        try:
            answer = said if isinstance(said, Exception) else _answered(service, said, tell)
        except Exception as failed:  # noqa: BLE001 - it is told to who asked
            answer = failed
        heard(answer)

    return service.answer_soon(chosen, given, name, told)


def _answered(service: Service, told: Told, tell: Callable[[Told], object]) -> Response:
    after = BackgroundTask(service.after, told) if service.has_others() else None
    return answered(tell(told), after=after)
