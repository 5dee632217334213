"""The files of an exported folder: the model, what reads its records, and how to ask it.

What reads records is Leaven's own code, copied and renamed: the package `leaven_model` holds
`data/portable/` and, for pictures and sounds, the modules that open files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from leaven.data.portable.model import DESCRIPTION

__all__ = ["PACKAGE", "TARGETS", "readme", "requirements", "write_code", "write_description"]

#: What can be exported to.
TARGETS = ("onnx", "edge", "serverless")
#: The package that an exported folder carries.
PACKAGE = "leaven_model"

_MODULES = ("cells", "decoding", "model", "nodes", "series", "words")
#: What is needed besides, by modality, and by what a description says of an encoder's reading.
_BESIDE = {
    "image": ("files", "pictures"), "audio": ("files", "sounds"),
    "subwords": ("portable/subwords",), "framing": ("portable/framing",),
    "hearing": ("portable/hearing",),
}  # fmt: skip
_NEEDS = {
    "image": ("pillow>=11",), "audio": ("soundfile>=0.12", "scipy>=1.13"),
    "subwords": ("tokenizers>=0.21",),
}  # fmt: skip
_OURS = re.compile(r"\bleaven\.data(?:\.portable)?\.(?=[a-z_]+ import\b)")
_HEAD = "# Copied from Leaven {version} (Apache-2.0), data/{path}: exporting writes it anew.\n"


def requirements(described: Mapping[str, Any]) -> list[str]:
    """What an exported model needs to be installed."""
    return ["numpy>=1.26", "onnxruntime>=1.18", *_of(described, _NEEDS)]


def write_code(folder: Path, described: Mapping[str, Any], target: str, version: str) -> None:
    """The package, `requirements.txt`, and for serverless platforms `handler.py`."""
    package = folder / PACKAGE
    package.mkdir()
    _say(package / "__init__.py", '"""Reads records and asks the model that lies beside."""\n')
    names = [f"portable/{name}.py" for name in _MODULES]
    names += [f"{name}.py" for name in _of(described, _BESIDE)]
    for name in names:
        _say(package / Path(name).name, _copied(name, version))
    _say(folder / "requirements.txt", "\n".join(requirements(described)) + "\n")
    if target == "serverless":
        _say(folder / "handler.py", _copied("portable/handler.py", version))


def write_description(folder: Path, described: Mapping[str, Any]) -> None:
    """`preprocess.json`."""
    _say(folder / DESCRIPTION, json.dumps(described, indent=1, ensure_ascii=False))


def readme(described: Mapping[str, Any], told: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """How to ask the model, with one record as an example."""
    needs = " ".join(f"'{one}'" for one in requirements(described))
    example = json.dumps(record, ensure_ascii=False)
    classes = ", ".join(described["classes"][:20])
    classes += " …" if len(described["classes"]) > 20 else ""
    parts = [
        f"# {told['name']}: an exported model\n",
        (
            f"It reads {described['modality']} records and answers with the probabilities of "
            f"{len(described['classes'])} classes: {classes}. It needs Python 3.11 and\n"
        ),
        f"    pip install {needs}\n",
        "It needs neither torch nor Leaven. Ask it in this folder:\n",
        "    from leaven_model.model import Model\n",
        '    model = Model.load(".")',
        f"    model.predict([{example}])\n",
        (
            "A record is an object of cells by column; one of a model with a single column may be "
            "the cell itself. Pictures and sounds are bytes, or text in base64. "
            "`probabilities(records)` gives a NumPy array instead, and why records cannot be read. "
            "Other runtimes take `model.onnx`; how records become its inputs is said in "
            "`preprocess.json` and done in `leaven_model/decoding.py`.\n"
        ),
        told["sentence"] + "\n",
    ]
    if described["modality"] == "graph":
        parts.append(
            "What it holds is one graph: a node of it is asked by its id. "
            + (
                "A new node is an object of cells by column "
                f"({', '.join(list(described['columns'])[:10])}) with `neighbours`, a list of ids, "
                "and perhaps `weights`, a number for each; it changes nothing for the next one.\n"
                if described["spec"]["new"]
                else "New nodes are not answered.\n"
            )
        )
    if told["target"] == "serverless":
        parts.append(
            "`handler.handler(event, context)` is the entry point: give the platform this folder "
            "with what `requirements.txt` names.\n"
        )
    parts.append("`manifest.json` holds the SHA-256 of each file.\n")
    return "\n".join(parts)


def _of(described: Mapping[str, Any], told: Mapping[str, tuple[str, ...]]) -> list[str]:
    """What is told of the modality and of the encoder's reading."""
    said = (described["modality"], *described["spec"])
    return [one for name in said for one in told.get(name, ())]


def _copied(name: str, version: str) -> str:
    """A module of Leaven's as one of the package."""
    source = files("leaven.data").joinpath(name).read_text("utf-8")
    return _HEAD.format(version=version, path=name) + _OURS.sub(f"{PACKAGE}.", source)


def _say(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
