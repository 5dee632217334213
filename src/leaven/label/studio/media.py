"""Pictures and sounds as Label Studio shows them: decoded here, written anew, of bounded size.

What is sent was read by Leaven's own readers, within the folder of the records, and holds nothing
but pixels or samples: no place where a photograph was taken, no second file behind the first.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaven.core.errors import DataError
from leaven.data import pictures, sounds
from leaven.data.dataset import Dataset
from leaven.data.file_column import files_of, root_of
from leaven.data.files import Unreadable

__all__ = ["Media", "media_of_record", "media_of_shown"]

_SIDE = 1024  # pixels
_SECONDS = 60.0
_RATES = (4_000, 48_000)
_KINDS = {"image": ("png", "image/png"), "audio": ("wav", "audio/wav")}
_NAME = re.compile(r"leaven-[0-9a-f]{32}\.(?:png|wav)$")


@dataclass(frozen=True)
class Media:
    """A file to be uploaded: its media type and its bytes."""

    kind: str
    content: bytes

    @property
    def name(self) -> str:
        """Its name, the same for the same content."""
        ending = {kind: ending for ending, kind in _KINDS.values()}[self.kind]
        return f"leaven-{hashlib.sha256(self.content).hexdigest()[:32]}.{ending}"

    @staticmethod
    def name_in(path: str) -> str | None:
        """The name of one of ours in the path of an upload; None for another's."""
        found = _NAME.search(path)
        return found[0] if found else None


def media_of_record(dataset: Dataset, position: int) -> Media:
    """A record's picture, at most 1024 pixels long, or its first minute of sound.

    Raises DataError where it cannot be read.
    """
    kind = dataset.modality
    item, root = files_of(dataset, kind)[position].as_py(), root_of(dataset)
    try:
        if kind == "image":
            picture = pictures.read(item, root, hint=_SIDE)
            picture.thumbnail((_SIDE, _SIDE))
            buffer = io.BytesIO()
            picture.save(buffer, "png")
            return Media("image/png", buffer.getvalue())
        rate = int(np.clip(sounds.look(item, root).rate, *_RATES))
        samples = sounds.read(item, root, rate, _SECONDS)
        return Media("audio/wav", sounds.wave_file(samples, rate, exact=False))
    except Unreadable as error:
        raise DataError(f"the record at position {position} cannot be sent. {error}.") from error


def media_of_shown(shown: Mapping[str, Any], modality: str) -> Media | None:
    """What a task of the queue shows, small; None where it has none."""
    field = {"image": "png", "audio": "wav"}[modality]
    try:
        content = base64.b64decode(str(shown.get(field, "")), validate=True)
    except ValueError:
        return None
    starts = {"image": b"\x89PNG\r\n\x1a\n", "audio": b"RIFF"}[modality]
    return Media(_KINDS[modality][1], content) if content.startswith(starts) else None
