"""Which thread asks a model: the one that read the request, where that takes no time."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from leaven.core.errors import DataError
from leaven.serve.models.batching import Batcher
from leaven.serve.models.limits import Refused


class Model:
    """Answers each record with the name of the thread that asks."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[int] = []

    def ask(self, records: Sequence[Any]) -> list[Any]:
        self.asked.append(len(records))
        if "odd" in records:
            raise DataError("it is odd")
        return [threading.current_thread().name] * len(records)


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher(quick=0.001)
    yield made
    made.close()


def asked(batcher: Batcher, model: Model, records: Sequence[Any]) -> Any:
    return asyncio.run(batcher.ask(model, records))  # type: ignore[arg-type]


def test_what_takes_no_time_is_answered_at_once(batcher: Batcher) -> None:
    here = threading.current_thread().name
    assert asked(batcher, Model(0.0001), ["a", "b"]) == [here] * 2
    assert asked(batcher, Model(0.0001), ["a"] * 10) == ["leaven-model"] * 10
    assert asked(batcher, Model(math.inf), ["a"]) == ["leaven-model"]
    batcher._records += 1  # somebody waits, who came before
    assert asked(batcher, Model(0.0001), ["a"]) == ["leaven-model"]
    batcher._records -= 1
    assert batcher.accepted == 4


def test_an_error_reaches_who_asked_and_the_end_refuses(batcher: Batcher) -> None:
    for seconds in (0.0001, math.inf):
        with pytest.raises(DataError, match="it is odd"):
            asked(batcher, Model(seconds), ["odd"])
    batcher.close()
    with pytest.raises(Refused, match="The server is ending"):
        asked(batcher, Model(0.0001), ["a"])


def soon(batcher: Batcher, model: Model, *requests: Sequence[Any]) -> list[Any]:
    """What requests of one turn of the loop are told; None where one has to wait."""

    async def turn() -> list[Any]:
        told: list[Any] = [None] * len(requests)
        for i, records in enumerate(requests):
            taken = batcher.ask_soon(
                model,  # type: ignore[arg-type]
                records,
                lambda said, i=i: told.__setitem__(i, said),  # type: ignore[misc]
            )
            assert taken or told[i] is None
        await asyncio.sleep(0)
        return told

    return asyncio.run(turn())


def test_who_come_in_one_turn_of_the_loop_are_asked_together(batcher: Batcher) -> None:
    here = threading.current_thread().name
    model = Model(0.0001)
    assert soon(batcher, model, ["a"], ["b", "c"], ["d"]) == [[here], [here] * 2, [here]]
    assert model.asked == [4]
    model.asked = []
    told = soon(batcher, model, ["a"], ["odd"], ["b"])
    assert [told[0], told[2]] == [[here]] * 2
    assert isinstance(told[1], DataError)
    assert model.asked == [3, 1, 1, 1]
    assert batcher.accepted == 6


def test_a_turn_holds_the_loop_no_longer_than_one_request_may(batcher: Batcher) -> None:
    model = Model(0.0004)
    assert all(soon(batcher, model, *[["a"]] * 5))
    assert model.asked == [2, 2, 1]
    assert soon(batcher, model, ["a"] * 3, ["a"]) == [None, [threading.current_thread().name]]
    assert soon(batcher, Model(math.inf), ["a"]) == [None]
    batcher._records += 1  # somebody waits, who came before
    assert soon(batcher, model, ["a"]) == [None]
    batcher._records -= 1


def test_one_who_cannot_hear_disturbs_no_other(batcher: Batcher) -> None:
    async def turn() -> list[Any]:
        told: list[Any] = []
        model: Any = Model(0.0001)
        assert batcher.ask_soon(model, ["a"], lambda _: told[0])  # which fails
        assert batcher.ask_soon(model, ["b"], told.append)
        await asyncio.sleep(0)
        return told

    assert asyncio.run(turn()) == [[threading.current_thread().name]]
