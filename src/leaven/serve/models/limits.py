"""What one request may ask for, and how it is told that it may not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from leaven.core.errors import SettingError

__all__ = ["Limits", "Refused"]


class Refused(Exception):
    """A request that is not answered: its HTTP status and one sentence.

    `retry` are seconds after which it may be tried again, 0 where that would not help.
    """

    def __init__(self, status: int, sentence: str, retry: int = 0) -> None:
        self.status, self.sentence, self.retry = status, sentence, retry
        super().__init__(sentence)


@dataclass(frozen=True)
class Limits:
    """Bounds of a request and of what waits.

    Attributes
    ----------
    body : bytes of a request.
    records : records of a request.
    text : characters of a text, or of any other cell.
    numbers : numbers of a vector or series.
    pixels : of a picture, by its header; no pixel of a larger one is decoded.
    all_pixels : of all pictures of a request, which bounds the time that decoding them takes.
    seconds : from a request's first byte to its answer.
    waiting : records that wait for the model at once.
    held : bytes of all requests that are under way.
    rate : requests a second of one token, or address; twice as many may come at once.
    """

    body: int = 16 << 20
    records: int = 256
    text: int = 100_000
    numbers: int = 1_000_000
    pixels: int = 25_000_000
    all_pixels: int = 100_000_000
    seconds: float = 10.0
    waiting: int = 1024
    held: int = 256 << 20
    rate: float = math.inf

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise SettingError(name, "more than 0", getattr(self, name))
        if self.all_pixels < self.pixels:
            raise SettingError("all_pixels", f"at least `pixels`, {self.pixels}", self.all_pixels)
        if self.waiting < self.records:
            raise SettingError("waiting", f"at least `records`, {self.records}", self.waiting)
        if self.held < self.body:
            raise SettingError("held", f"at least `body`, {self.body}", self.held)
