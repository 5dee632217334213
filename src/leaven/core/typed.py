"""Typed settings from plain values or a TOML file, and one sentence on what is wrong with them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from leaven.core.errors import LeavenError, SettingError, UnknownNameError

__all__ = ["CONFIG", "built", "tables"]

#: Where settings are looked for if no file is named.
CONFIG = "leaven.toml"
_LARGEST = 1_000_000  # bytes of a configuration

Model = TypeVar("Model", bound=BaseModel)


def built(
    model: type[Model],
    values: Mapping[str, Any],
    unknown: str | Callable[[Sequence[str]], str],
    missing: str = "given",
) -> Model:
    """The settings that these values are.

    Parameters
    ----------
    unknown : what a name is that is none of the model's, or what makes that of the tables it is in.
    missing : what is wanted of a value that is not there.

    Raises UnknownNameError for a name that is not known, SettingError for a value that does not
    fit; an error of Leaven's own that a validator raised passes as it is.
    """
    try:
        return model.model_validate(values)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        *path, name = [str(part) for part in first["loc"]] or [model.__name__.lower()]
        if first["type"] == "extra_forbidden":
            kind = unknown if isinstance(unknown, str) else unknown(path)
            raise UnknownNameError(kind, name, _within(model, path).model_fields) from None
        if isinstance(cause := first.get("ctx", {}).get("error"), LeavenError):
            raise cause from None
        place = ".".join([*path, name])
        if first["type"] == "missing":
            raise SettingError(place, missing, None) from None
        wanted = first["msg"].removeprefix("Input should be ")
        raise SettingError(place, wanted, first["input"]) from None


def tables(file: Path, fix: str = "") -> dict[str, Any]:
    """The tables of a TOML file; `fix` is what to do where there is no such file.

    Raises SettingError where it cannot be read, is too large, or is no TOML.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as missing:
        raise SettingError("config", "a readable TOML file", str(file), fix) from missing
    if len(content) > _LARGEST:
        raise SettingError("config", f"at most {_LARGEST} bytes", str(file))
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as broken:
        raise SettingError("config", "valid TOML", f"{file}: {broken}") from None


def _within(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """The model of a table within another."""
    for part in path:
        field = model.model_fields[part]
        default = field.get_default(call_default_factory=True)
        model = type(default) if isinstance(default, BaseModel) else model
    return model
