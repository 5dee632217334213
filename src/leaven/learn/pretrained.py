"""Models of the Hugging Face family, loaded safely: by folder or hub name, safetensors alone.

A folder is read offline; a hub name is looked for in the local cache first and downloaded only if
it is not there. Code that comes with a model is never run. With `masked_model` this is where
transformers is imported (extras `text`, `vision`, `audio`, `series`).
"""

from __future__ import annotations

import hashlib
import json
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from leaven.core.errors import MissingExtraError, SettingError

__all__ = [
    "LOADING",
    "Pretrained",
    "Stamp",
    "changed",
    "device",
    "digest_of",
    "file_of",
    "load",
    "placed",
    "stamp",
]

#: Name, size and time of a folder's files: what tells that it has changed.
Stamp = tuple[tuple[str, int, int], ...]

#: Held while a model is loaded: transformers puts functions of its own in the place of torch's
#: meanwhile (`linspace`, initialisers), and of two threads at once the second leaves them there.
LOADING = threading.Lock()

# What configurations say of their origin rather than of the model.
_ORIGIN = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A frozen model in evaluation mode and single precision, and what its inputs are made by."""

    reader: Any
    model: Any


def placed(name: str) -> str:
    """A folder's absolute path; a hub name as it is."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def stamp(name: str, wanted: str) -> Stamp:
    """Of a folder's files and those of its folders; () for a hub name.

    Raises SettingError, which says what is `wanted`, for a path that is no folder with a model.
    """
    folder = Path(name)
    if not folder.is_dir():
        if folder.is_absolute() or name.startswith("."):
            raise SettingError("encoder", wanted, name, "There is no such folder. Check the path.")
        return ()
    if not (folder / "config.json").is_file():
        fix = "The folder holds no config.json. Name the one that save_pretrained wrote."
        raise SettingError("encoder", wanted, name, fix)
    files = [path for path in sorted([*folder.glob("*"), *folder.glob("*/*")]) if path.is_file()]
    stats = [(str(path.relative_to(folder)), path.stat()) for path in files]
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats)


def load(
    name: str,
    wanted: str,
    extra: str,
    reader: Callable[[str, dict[str, Any]], Any],
    unused: Sequence[str] = ("pooler",),
) -> Pretrained:
    """A model and its reader (tokeniser, feature extractor, settings).

    `reader` takes the name and how to look for it; `unused` are parts of the names of weights
    that may be missing, since no feature is made with them. Raises SettingError, which says what
    is `wanted`, for what cannot be loaded, and MissingExtraError without transformers.
    """
    try:
        from transformers import AutoModel
        from transformers.utils import logging
    except ImportError as absent:
        raise MissingExtraError(extra, f"the encoder '{name}'") from absent
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    problem: Exception | None = None
    for offline in (True,) if Path(name).is_dir() else (True, False):
        how = {"local_files_only": offline, "trust_remote_code": False}
        try:
            with LOADING, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read = reader(name, how)
                model, told = AutoModel.from_pretrained(
                    name, use_safetensors=True, output_loading_info=True, **how
                )
        except MissingExtraError:
            raise
        except Exception as failed:  # noqa: BLE001 - Rust parsers and model code raise anything
            problem = failed
            continue
        missing = [key for key in sorted(told["missing_keys"]) if not _part(key, unused)]
        if missing:
            # The library would fill them with random numbers and only whisper about it.
            fix = f"The weights lack {len(missing)} tensors of the configured model: {missing[0]} …"
            raise SettingError("encoder", wanted, name, fix)
        return Pretrained(read, model.float().eval().requires_grad_(False))
    said = " ".join(str(problem).split())[:300]
    raise SettingError("encoder", wanted, name, f"It cannot be loaded: {said}")


def file_of(name: str, file: str) -> dict[str, Any] | list[Any] | None:
    """A JSON file of a model, in its folder or on the hub; None where it has none."""
    if Path(name).is_dir():
        path = Path(name) / file
        return _json(path) if path.is_file() else None
    from transformers.utils import cached_file

    for offline in (True, False):
        found = cached_file(
            name,
            file,
            local_files_only=offline,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found is not None:
            return _json(Path(found))
    return None


def digest_of(model: Any, settings: Any, unused: Sequence[str] = ("pooler",)) -> str:
    """Of all that decides the features: configuration, weights, and what the adapter adds."""
    config = {k: v for k, v in model.config.to_dict().items() if k not in _ORIGIN}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, weights in sorted(model.state_dict().items()):
        if not _part(name, unused):
            digest.update(name.encode())
            digest.update(weights.detach().cpu().float().contiguous().numpy())
    return digest.hexdigest()


def changed(description: dict[str, Any], digest: str) -> SettingError:
    """What to raise where the encoder of a run is another now."""
    return SettingError(
        "encoder",
        f"the one of the run (digest {description['digest'][:8]})",
        f"{description['name']} (digest {digest[:8]})",
        "Restore the encoder's files, or fit again.",
    )


def device() -> torch.device:
    """Where frozen models run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _part(key: str, parts: Sequence[str]) -> bool:
    """Whether one of the parts stands in the name of a weight."""
    return any(part in key for part in parts)


def _json(path: Path) -> dict[str, Any] | list[Any]:
    found: dict[str, Any] | list[Any] = json.loads(path.read_text("utf-8"))
    return found
