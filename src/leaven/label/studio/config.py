"""Labelling configurations: written for what a queue holds, read, and held against predictions.

Label Studio imports a prediction whose `from_name` is wrong with status 201 and then shows nothing
of it (1.23, unless a flag that is off by default is set). So what is sent is checked here first,
against the configuration that the project has.

Source: Label Studio 1.23, https://labelstud.io/tags/ (Choices, Choice, Text, Image, Audio,
TimeSeries, Table).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from xml.sax.saxutils import quoteattr

from leaven.core.errors import DataError
from leaven.evaluate.report.clean import clean

__all__ = ["CLASS", "RECORD", "Choosing", "Config", "labelling_config", "problems", "words"]

#: What our configurations call the control that chooses a class, and the object that it is about.
CLASS, RECORD = "class", "record"

#: By modality: the tag that shows a record, and the name of its data.
_SHOWN = {
    "text": ("Text", "text"),
    "image": ("Image", "image"),
    "audio": ("Audio", "audio"),
    "series": ("TimeSeries", "series"),
}
_ROW = ("Table", "row")
_LONGEST = 2**20  # characters of a configuration
_LONGEST_NAME = 200
_MANY = 12  # classes from which on a field to filter them stands above them
_VARIABLE = re.compile(r"\$(\w+)")
_DOLLAR = re.compile(r"\$(?=[\w\[\].{}])")  # which Label Studio takes for data, wherever it stands


@dataclass(frozen=True)
class Choosing:
    """The control by which a class is chosen: its name, the object's, and each class's word."""

    from_name: str
    to_name: str
    words: Mapping[str, str]

    def region(self, label: str, share: float, number: str) -> dict[str, Any]:
        """A prediction's region that chooses this class, with its probability."""
        return {
            "id": number, "from_name": self.from_name, "to_name": self.to_name,
            "type": "choices", "value": {"choices": [self.words[label]]}, "score": share,
        }  # fmt: skip


@dataclass(frozen=True)
class _Control:
    tag: str
    to_names: tuple[str, ...]
    words: tuple[str, ...]  # what stands in a result: the alias where there is one
    aliases: frozenset[str]
    single: bool


@dataclass(frozen=True)
class Config:
    """What a labelling configuration says: controls and objects by name, data it asks for.

    `channels` are the columns of series, by the name of their data.
    """

    controls: Mapping[str, _Control]
    objects: Mapping[str, str]
    variables: frozenset[str]
    channels: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, xml: str) -> Config:
        """Read one; DataError for what is none."""
        root = _root(xml)
        controls: dict[str, _Control] = {}
        objects: dict[str, str] = {}
        variables: set[str] = set()
        channels: dict[str, tuple[str, ...]] = {}
        for tag in root.iter():
            told = tag.attrib
            variables |= {found[1] for v in told.values() if (found := _VARIABLE.fullmatch(v))}
            name = told.get("name")
            if not name or tag.tag == "Filter":
                continue
            if "toName" in told:
                inside = [one for one in tag.iter() if one is not tag and "value" in one.attrib]
                controls[name] = _Control(
                    tag.tag,
                    tuple(told["toName"].split(",")),
                    tuple(one.attrib.get("alias") or one.attrib["value"] for one in inside),
                    frozenset(one.attrib["alias"] for one in inside if "alias" in one.attrib),
                    told.get("choice", "single") in ("single", "single-radio"),
                )
            elif "value" in told:
                objects[name] = tag.tag
                inside = [one for one in tag.iter("Channel") if "column" in one.attrib]
                if inside and (found := _VARIABLE.fullmatch(told["value"])):
                    columns = [one.attrib["column"] for one in inside]
                    columns += [told["timeColumn"]] if "timeColumn" in told else []
                    channels[found[1]] = tuple(columns)
        return cls(controls, objects, frozenset(variables), channels)

    def choosing(self, classes: Sequence[str]) -> Choosing:
        """The control that chooses one of these classes.

        A class is found by its word in `words`, or by its name. Raises DataError where no control
        has them all; it says which are missing from the one that has most.
        """
        best: tuple[int, str, list[str]] | None = None
        for name, control in self.controls.items():
            if control.tag != "Choices" or control.to_names[0] not in self.objects:
                continue
            found = {label: word for word, label in self.classes(name, classes).items()}
            missing = [label for label in classes if label not in found]
            if not missing:
                return Choosing(name, control.to_names[0], found)
            if best is None or len(missing) < best[0]:
                best = len(missing), name, missing
        if best is None:
            raise DataError(
                "The project's configuration has no <Choices> about an object that it shows. "
                "Name another project; Leaven makes it."
            )
        _, name, missing = best
        raise DataError(
            f"The choices '{name}' of the project lack: {', '.join(map(repr, missing[:10]))}. "
            "Add them in its settings, or name another project; Leaven makes it."
        )

    def classes(self, name: str, classes: Sequence[str]) -> dict[str, str]:
        """Of the words of this control, those that stand for one of the classes, and which."""
        control = self.controls[name]
        known = set(control.words)
        names = known - control.aliases  # an alias of ours may be the name of another class
        return {
            (word if word in known else label): label
            for label, word in words(classes).items()
            if word in known or label in names
        }


def words(classes: Sequence[str]) -> dict[str, str]:
    r"""What stands for each class in results: its name, or `class-7` where no name can be carried.

    Label Studio takes `$x` for data, and loses line breaks and blanks at the ends.

    >>> words(["spam", "$x", "a\nb", "class-1"])
    {'spam': 'spam', '$x': 'class-1', 'a\nb': 'class-2', 'class-1': 'class-3'}
    """
    return {
        name: name if _is_plain(name) else f"class-{place}" for place, name in enumerate(classes)
    }


def labelling_config(
    classes: Sequence[str],
    modality: str,
    *,
    question: str = "",
    channels: Sequence[tuple[str, str]] = (),
) -> str:
    """The configuration of a project that asks for one of `classes`.

    Parameters
    ----------
    channels : of series, the columns of a record and how each is called.
    """
    tag, data = shown_as(modality)
    told = {"name": RECORD, "value": f"${data}"}
    inside = ""
    if tag == "TimeSeries":
        told |= {"valueType": "json", "timeColumn": "step", "overviewWidth": "100%"}
        inside = "".join(
            _tag("Channel", {"column": column, "displayName": _shown(name)})
            for column, name in channels
        )
    names = _distinct([_shown(name) for name in classes])
    choices = "".join(
        _tag("Choice", {"value": shown} | ({"alias": word} if word != shown else {}))
        for shown, word in zip(names, words(classes).values(), strict=True)
    )
    find = {"name": "find", "toName": CLASS, "minlength": "0", "placeholder": "Find a class"}
    chosen = {"name": CLASS, "toName": RECORD, "choice": "single-radio", "required": "true"}
    record = _tag(tag, told, inside)
    asked = (_tag("Filter", find) if len(classes) > _MANY else "") + _tag(
        "Choices", chosen, choices
    )
    return "".join(
        (
            "<View>",
            _tag("Header", {"value": _shown(question or "Which class is it?")}),
            # Pictures and series fill a page: who answers shall not scroll for each.
            *((asked, record) if tag in ("Image", "TimeSeries") else (record, asked)),
            _tag("Header", {"value": "$reason", "size": "6"}),
            "</View>",
        )
    )


def shown_as(modality: str) -> tuple[str, str]:
    """The tag that shows a record of a modality, and the name of its data; else a table's row."""
    return _SHOWN.get(modality, _ROW)


def problems(prediction: Any, config: Config) -> list[str]:
    """Why a prediction is of no use to a project with this configuration; empty where it is.

    Regions, their control, object, type and choices; the score, a number; the model's version,
    without which it is not found again.
    """
    if not isinstance(prediction, Mapping):
        return ["it is no object"]
    found = []
    score, version = prediction.get("score"), prediction.get("model_version")
    if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score):
        found.append(f"its score must be a number, got {score!r}")
    if not isinstance(version, str) or not version:
        found.append(f"its model_version must be a name, got {version!r}")
    regions = prediction.get("result")
    if not isinstance(regions, list) or not regions:
        return [*found, "its result must be a list of regions"]
    return [*found, *(why for one in regions for why in _region_problems(one, config))]


def _region_problems(region: Any, config: Config) -> Iterable[str]:
    wanted = ("from_name", "to_name", "type", "value")
    if not isinstance(region, Mapping) or any(name not in region for name in wanted):
        yield f"a region must have {', '.join(wanted)}"
        return
    from_name, to_name, kind, value = (region[name] for name in wanted)
    control = config.controls.get(from_name) if isinstance(from_name, str) else None
    if control is None:
        known = ", ".join(config.controls) or "(none)"
        yield f"from_name must be one of: {known}, got {from_name!r}"
        return
    if to_name not in control.to_names or to_name not in config.objects:
        yield f"to_name must be {', '.join(control.to_names)}, got {to_name!r}"
    if not isinstance(kind, str) or kind.lower() != control.tag.lower():
        yield f"type must be {control.tag.lower()}, got {kind!r}"
    elif control.tag == "Choices":
        chosen = value.get("choices") if isinstance(value, Mapping) else None
        if not isinstance(chosen, list) or not chosen:
            yield f"its value must be {{'choices': [...]}}, got {value!r}"
        elif unknown := [one for one in chosen if one not in control.words]:
            yield f"no such choice: {unknown[0]!r}"
        elif control.single and len(chosen) > 1:
            yield f"'{from_name}' takes one choice, got {len(chosen)}"


def _root(xml: str) -> ET.Element:
    told = "The project's configuration cannot be read"
    if len(xml) > _LONGEST or "<!" in re.sub(r"<!--.*?-->", "", xml, flags=re.DOTALL):
        # Without a document type there are no entities, and nothing that could grow.
        raise DataError(f"{told}: it is too long, or has a document type. Name another project.")
    try:
        return ET.fromstring(xml)  # noqa: S314
    except (ET.ParseError, ValueError) as wrong:
        raise DataError(f"{told}: {wrong}. Name another project.") from wrong


def _tag(tag: str, told: Mapping[str, str], inside: str = "") -> str:
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in told.items())
    return f"<{tag}{attributes}>{inside}</{tag}>" if inside else f"<{tag}{attributes}/>"


def _is_plain(name: str) -> bool:
    return _shown(name) == name and not re.fullmatch(r"class-\d+", name)


def _shown(name: str) -> str:
    """A name in one printable line that is not taken for data."""
    told = " ".join(str(clean(name, _LONGEST_NAME)).split()) or "(blank)"
    return _DOLLAR.sub("$\N{WORD JOINER}", told)


def _distinct(names: Sequence[str]) -> list[str]:
    """The same, with a number behind those that are there twice."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    taken, told = set(names), []
    for place, name in enumerate(names):
        if seen[name] > 1 and name in names[:place]:
            number = 2
            while f"{name} ({number})" in taken:
                number += 1
            name = f"{name} ({number})"
            taken.add(name)
        told.append(name)
    return told
