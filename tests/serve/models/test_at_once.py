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

    def ask(self, records: Sequence[Any]) -> list[Any]:
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
