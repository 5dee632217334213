"""Everything from the data is hostile: what enters the page passes here first."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

__all__ = ["clean", "clean_shown"]

_LONGEST_TEXT = 1_000
_LONGEST_RECIPE = 20_000
_LONGEST_LIST = 20_000
_LONGEST_SHOWN_TEXT = 1_200
_LONGEST_IMAGE = 2_000_000
#: In base64: four seconds of 16 bits at 16,000 Hz, so that a page of 30 stays under 6 MB.
_LONGEST_SOUND = 180_000
_LONGEST_CELL = 120
_MOST_CELLS = 24
_MOST_CHANNELS = 6
_MOST_STEPS = 400
#: Control characters, lone surrogates, and the marks that turn the direction of text around.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_PNG = re.compile(r"iVBORw0KGgo[A-Za-z0-9+/]*={0,2}")
_WAV = re.compile(r"UklGR[A-Za-z0-9+/]*={0,2}")


def clean(value: Any, longest: int = _LONGEST_TEXT) -> Any:
    """JSON-like data with printable, bounded text, and nothing where a number is NaN or infinite.

    A key whose value is None is left out, so the page knows one kind of missing.

    >>> clean({"accuracy": float("nan"), "name": "a\\x00b"})
    {'name': 'a\ufffdb'}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        tidy = (
            (
                _text(str(key), longest),
                clean(item, _LONGEST_RECIPE if key == "recipe_toml" else longest),
            )
            for key, item in value.items()
        )
        return {key: item for key, item in tidy if item is not None}
    if isinstance(value, list | tuple):
        return [clean(item, longest) for item in value[:_LONGEST_LIST]]
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return _text(str(value), longest)


def clean_shown(shown: dict[str, Any]) -> dict[str, Any]:
    """One record as a page may show it; what is of no known kind becomes `none`."""
    shown = {key: value for key, value in shown.items() if value is not None}
    kind = shown.get("kind")
    if kind == "image":
        png = str(shown.get("png", ""))
        if len(png) <= _LONGEST_IMAGE and _PNG.fullmatch(png):
            return {"kind": "image", "png": png}
    elif kind == "audio":
        png, wav = str(shown.get("png", "")), str(shown.get("wav", ""))
        drawn = len(png) <= _LONGEST_IMAGE and _PNG.fullmatch(png)
        if drawn and len(wav) <= _LONGEST_SOUND and _WAV.fullmatch(wav):
            text = _text(str(shown.get("text", "")), _LONGEST_CELL)
            return {"kind": "audio", "png": png, "wav": wav, "text": text}
    elif kind == "text":
        return {"kind": "text", "text": _text(str(shown.get("text", "")), _LONGEST_SHOWN_TEXT)}
    elif kind == "row":
        cells = clean(shown.get("cells", []), _LONGEST_CELL)
        return {"kind": "row", "cells": cells[:_MOST_CELLS], "more": len(cells[_MOST_CELLS:])}
    elif kind == "vector":
        values = [v for v in clean(shown.get("values", [])) if isinstance(v, int | float)]
        if values:
            return {"kind": "vector", "values": values}
    elif kind == "series":
        channels = _channels(shown.get("channels"))
        if channels:
            return {"kind": "series", "channels": channels}
    return {"kind": "none"}


def _channels(found: Any) -> list[dict[str, Any]]:
    """The channels of a series that have a number, each with its name."""
    channels = []
    for channel in clean(found if isinstance(found, list) else [])[:_MOST_CHANNELS]:
        values = channel.get("values") if isinstance(channel, dict) else None
        values = values[:_MOST_STEPS] if isinstance(values, list) else []
        values = [v if isinstance(v, int | float) else None for v in values]
        if any(v is not None for v in values):
            name = _text(str(channel.get("name", "")), _LONGEST_CELL)
            channels.append({"name": name, "values": values})
    return channels


def _text(text: str, longest: int) -> str:
    cut = text[:longest] + ("…" if len(text) > longest else "")
    return _UNPRINTABLE.sub("\ufffd", cut)
