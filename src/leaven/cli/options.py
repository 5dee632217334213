"""Arguments and options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from leaven.core.errors import SettingError

__all__ = [
    "READING",
    "RESULT",
    "TRAINING",
    "Against",
    "Answers",
    "Rules",
    "Audit",
    "Budget",
    "Changed",
    "CpuHours",
    "Data",
    "Encoder",
    "Fresh",
    "Group",
    "Id",
    "Json",
    "Label",
    "Labels",
    "Memory",
    "Metrics",
    "Modality",
    "Money",
    "Out",
    "Pretext",
    "Prices",
    "RecipeFile",
    "RunFolder",
    "Seed",
    "Shares",
    "Time",
    "Tune",
    "settings_of",
    "shares_of",
]

READING, TRAINING, RESULT = "Reading the data", "Training", "Result"

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A table, a folder of files, or a URL of a table.")
]
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder.")]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Holds the labels, empty where there is none. Found where its name is a usual one.",
        rich_help_panel=READING,
    ),
]
Modality = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What a record is: image, text, tabular, series, audio, embedding or graph. Found if "
        "not given.",
        rich_help_panel=READING,
    ),
]
Id = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Names the records.", rich_help_panel=READING),
]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Records equal in it (one patient, one author) are never torn apart.",
        rich_help_panel=READING,
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Orders the records in time: the latest judge.",
        rich_help_panel=READING,
    ),
]
Audit = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="True labels of records to be treated as unlabelled: only read to say how right "
        "their pseudo-labels are.",
        rich_help_panel=READING,
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A table of labels for a flat folder of files.",
        rich_help_panel=READING,
    ),
]
Answers = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Labels given since, as leaven label export writes them.",
        rich_help_panel=READING,
    ),
]
Rules = Annotated[
    str | None,
    typer.Option(
        metavar="RULES.toml",
        help="Rules whose votes on unlabelled records are learnt as soft labels; see leaven rules.",
        rich_help_panel=READING,
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="One that `leaven encoders` lists, tiny, base, large or auto, a pretraining's folder, "
        "or a model of the Hugging Face hub by name or folder.",
        rich_help_panel=TRAINING,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="BUDGET",
        help="For all of it: 5m (if not given), 300s, 1h. Or 400steps for each final fit.",
        rich_help_panel=TRAINING,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        help="Of all random choices; 0 if not given.",
        rich_help_panel=TRAINING,
    ),
]
RecipeFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.toml",
        help="Settings to follow, such as the recipe.toml of another run.",
        rich_help_panel=TRAINING,
    ),
]
Changed = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the method or pretext, as accept=AtLeast(0.8), or of the "
        "training, as training.labelled_draw=balanced. `leaven methods --choices` lists the "
        "choices. May be given several times.",
        rich_help_panel=TRAINING,
    ),
]
Shares = Annotated[
    list[str] | None,
    typer.Option(
        "--share",
        metavar="CLASS=SHARE",
        help="How frequent a class is among all records, as fraud=0.04, where you know it. The "
        "classes that you do not name have the rest. May be given several times.",
        rich_help_panel=TRAINING,
    ),
]
Tune = Annotated[
    bool,
    typer.Option(
        "--tune",
        metavar="",
        help="Search for the settings of a blend's members within the budget, on labelled records "
        "that judge nothing. Needs the extra tune.",
        rich_help_panel=TRAINING,
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        metavar="",
        help="Begin anew where the same command would continue or reopen a run.",
        rich_help_panel=TRAINING,
    ),
]
Out = Annotated[
    str, typer.Option(metavar="FOLDER", help="Where runs are kept.", rich_help_panel=RESULT)
]
CpuHours = Annotated[
    float | None,
    typer.Option(
        metavar="HOURS",
        help="Stop, with all work kept, when so many hours of CPU are used.",
        rich_help_panel=TRAINING,
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        metavar="GB",
        help="The same when so much memory is taken.",
        rich_help_panel=TRAINING,
    ),
]
Money = Annotated[
    float | None,
    typer.Option(
        metavar="AMOUNT",
        help="The same when CPU and GPU have cost so much.",
        rich_help_panel=TRAINING,
    ),
]
Prices = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="TOML with the table costs; leaven.toml if not given."),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Tell Prometheus how it goes, by files for node-exporter's textfile collector.",
        rich_help_panel=RESULT,
    ),
]
Pretext = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="One that `leaven pretexts` lists; the modality's usual one if not given.",
        rich_help_panel=TRAINING,
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ENCODER",
        help="A frozen encoder, by name or folder, to compare with. May be given several times.",
        rich_help_panel=TRAINING,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", metavar="", help="One JSON object on stdout.", rich_help_panel=RESULT),
]


def shares_of(given: Sequence[str]) -> dict[str, float] | None:
    """What `--share CLASS=SHARE` says; None where nothing is given.

    >>> shares_of(["fraud=0.04", "a=b=50%"])
    {'fraud': 0.04, 'a=b': 0.5}
    """
    shares = {}
    for one in given:
        name, equals, text = one.rpartition("=")
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            equals = ""
        if not equals:
            raise SettingError("--share", "CLASS=SHARE, such as fraud=0.04", one)
        shares[name.strip()] = share
    return shares or None


def settings_of(changed: Sequence[str]) -> dict[str, Any]:
    """What `--set KEY=VALUE` says: numbers, true and false as such, the rest as text.

    A key that is given several times has the list of its values.

    >>> settings_of(["weight=2", "accept=AtLeast(0.8)", "accept=Steady", "a=b=c"])
    {'weight': 2, 'accept': ['AtLeast(0.8)', 'Steady'], 'a': 'b=c'}
    """
    settings: dict[str, Any] = {}
    for change in changed:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise SettingError("--set", "KEY=VALUE, such as accept=AtLeast(0.8)", change)
        value = _value(text.strip())
        key = key.strip()
        if key in settings:
            before = settings[key]
            value = [*(before if isinstance(before, list) else [before]), value]
        settings[key] = value
    return settings


def _value(text: str) -> Any:
    """A number or a truth value, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
