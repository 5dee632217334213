"""What all routes have: a name, the severities they take, and how they say that they failed."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from leaven.core.errors import LeavenError, SettingError
from leaven.operate.objectives.message import Message

__all__ = ["RouteBase", "RouteError", "secret"]


class RouteError(LeavenError):
    """A route did not take a message. `again` says that the same may work a moment later."""

    def __init__(self, message: str, *, again: bool) -> None:
        self.again = again
        super().__init__(message)


class RouteBase(BaseModel):
    """A way by which people are told of alerts of some severities."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    name: str = Field(pattern=r"^[\w][\w .-]{0,79}$")
    severities: tuple[Literal["page", "ticket", "note"], ...] = ("page", "ticket", "note")

    @field_validator("severities", mode="before")
    @classmethod
    def _one_or_several(cls, severities: object) -> object:
        return (severities,) if isinstance(severities, str) else severities

    def send(self, message: Message, now: float) -> None:
        """Tell it; RouteError where it was not taken."""
        raise NotImplementedError


def secret(variable: str) -> str:
    """What an environment variable holds, "" for no variable; SettingError where it is not set."""
    if not variable:
        return ""
    value = os.environ.get(variable, "")
    if not value:
        raise SettingError(variable, "set in the environment, for a route needs it", "")
    return value
