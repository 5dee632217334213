"""Results as a person reads them in a terminal: the finding first, then figures, then advice."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from leaven.cli.console import new_console, new_table, say
from leaven.cli.progress import ACCENT
from leaven.cli.words import interval, plain
from leaven.core.wording import THIN, count, duration, many, percent, points, records

__all__ = [
    "as_json",
    "show_check",
    "show_choices",
    "show_comparison",
    "show_encoders",
    "show_failure",
    "show_fit",
    "show_methods",
    "show_predictions",
    "show_table_of_methods",
]

Item = Mapping[str, Any]

BASELINE = "grey58"
_SEVERITIES = {
    "error": ("✗ error", "bold red"),
    "warning": ("! warning", "yellow"),
    "info": ("· info", "dim"),
}
#: How a figure of the advice is marked.
_VERDICTS = {
    "good": ("✓", ""),
    "alarm": ("✗", "bold red"),
    "note": ("·", ""),
    "unsure": ("?", "dim"),
}
#: Figures of the advice that are not said in per cent.
_NO_SHARES = ("labelled against unlabelled", "kernel distance (MMD²)")
#: What a figure is called here, and whether it is a share, said in per cent.
_FIGURES = {
    "accuracy": ("accuracy", True),
    "balanced_accuracy": ("balanced accuracy", True),
    "macro_f1": ("macro F1", True),
    "ece": ("calibration error (ECE)", False),
}
_MANY = 12


def as_json(result: object) -> str:
    """One JSON document; what JSON cannot hold becomes null (NaN) or text (paths).

    >>> as_json({"value": float("nan"), "folder": Path("runs")})
    '{\\n  "value": null,\\n  "folder": "runs"\\n}'
    """
    return json.dumps(_jsonable(result), indent=2, ensure_ascii=False, allow_nan=False)


def show_check(report: Item) -> None:
    """What the data is, what is wrong with it, and whether unlabelled data may help."""
    data, advice = report["dataset"], report.get("advice") or {}
    findings: Sequence[Item] = report.get("findings") or ()
    console = new_console()
    say(
        console,
        f"{plain(data['name'])}: {records(data['records'])} ({plain(data['modality'])}), "
        f"{count(data['labelled'])} labelled in {many(len(data['classes']), 'class', 'classes')}, "
        f"{count(data['unlabelled'])} unlabelled.",
        "bold",
    )
    if data.get("quarantined"):
        reasons = "; ".join(
            f"{plain(reason)} {count(n)}"
            for reason, n in (data.get("quarantine_reasons") or {}).items()
        )
        say(
            console,
            f"{many(data['quarantined'], 'record is', 'records are')} quarantined: {reasons}.",
            "yellow",
        )
    say(console, _class_line(data.get("class_counts") or {}))
    if findings:
        _show_findings(console, findings, data.get("places") or {})
    else:
        say(console, "The checks found nothing wrong.")
    if advice:
        _show_advice(console, advice)


def _show_advice(console: Console, advice: Item) -> None:
    """The figures that advice stands on, then the answer, its reasons and what to label."""
    table = new_table("", "measured before training", "figure", "p", "n", "what it says")
    for item in advice.get("evidence") or ():
        word, style = _VERDICTS.get(item.get("verdict") or "", ("", ""))
        table.add_row(
            word,
            plain(item.get("name")),
            interval(item, shares=item.get("name") not in _NO_SHARES),
            _chance(item.get("p")),
            count(item.get("n")),
            plain(item.get("said")),
            style=style,
        )
    for column in table.columns[:1] + table.columns[3:5]:
        column.no_wrap = True
    if table.row_count:
        console.print()
        console.print(table)
        say(console, f"95{THIN}% intervals in brackets, where there are any.", "dim")
        console.print()
    say(console, f"Advice: {plain(advice.get('choice'))}", f"bold {ACCENT}")
    _list(console, advice.get("reasons") or ())
    for said, key in (
        ("Classes that want labels", "classes"),
        ("Label first", "label_next"),
        ("Labels to check", "check_labels"),
    ):
        if names := advice.get(key):
            say(console, f"{said}: {_found(names[:_MANY], advice.get('places') or {})}")


def _found(names: Sequence[str], places: Mapping[str, str]) -> str:
    """The names, or where those lie that are only a digest; a file of all of them is named once.

    >>> _found(["a", "b"], {"a": "x.csv row 7", "b": "x.csv row 2"})
    'rows 7, 2 of x.csv'
    >>> _found(["a", "b"], {"a": "x.csv row 7"})
    'x.csv row 7, b'
    """
    told = [plain(places.get(name, name)) for name in names]
    files = {one.rpartition(" row ")[0] for one in told}
    if len(files) == 1 < len(told) and (file := files.pop()):
        return f"rows {', '.join(one.rpartition(' ')[2] for one in told)} of {file}"
    return ", ".join(told)


def _chance(p: float | None) -> str:
    """A p-value in a table's cell; nothing where there is none."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _show_findings(console: Console, findings: Sequence[Item], places: Mapping[str, str]) -> None:
    table = new_table("", "finding", "count", "examples", "what to do")
    for finding in findings:
        word, style = _SEVERITIES.get(finding["severity"], (finding["severity"], ""))
        table.add_row(
            word,
            plain(finding["message"]),
            count(finding.get("count") or 0),
            _found((finding.get("examples") or ())[:3], places),
            plain(finding.get("advice")),
            style=style,
        )
    console.print(table)


def show_failure(head: str, message: str) -> None:
    """What went wrong, on stderr."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    said = Text(head, style="bold red")
    said.append("\n".join(plain(line) for line in message.splitlines()), style="not bold default")
    console.print(said, soft_wrap=not console.is_terminal)


def show_fit(story: Item, report: Path) -> None:
    """The verdict, the figures beside the baseline's, and what to do next."""
    run, verdict, baseline = story["run"], story["verdict"], story["baseline"]
    console = new_console()
    better = verdict["outcome"] in ("better", "likely")
    say(console, plain(verdict["sentence"]), f"bold {ACCENT}" if better else "bold")
    kept, method = verdict["kept"], verdict.get("method") or verdict["kept"]
    heads = [method, f"{baseline['method']} (baseline)"]
    marks = [" · kept" if name == kept else "" for name in (method, baseline["method"])]
    shown = [plain(head) + mark for head, mark in zip(heads, marks, strict=True)]
    others = baseline.get("metrics") or {}
    # With nothing to compare there is one model, and one column.
    alone = method == baseline["method"]
    table = new_table("", *(shown[:1] if alone else shown))
    for column, style in zip(table.columns[1:], (ACCENT, BASELINE), strict=False):
        column.style = style
    # What ships is the baseline where it was kept; the column beside it is still the method's.
    for name, estimate in (story.get("method_metrics") or story.get("metrics") or {}).items():
        if name in _FIGURES:
            said, in_shares = _FIGURES[name]
            figures = [
                interval(each, shares=in_shares) for each in (estimate, others.get(name) or {})
            ]
            table.add_row(said, *(figures[:1] if alone else figures))
    if table.row_count:
        console.print()
        console.print(table)
        say(console, f"95{THIN}% intervals in brackets; more figures in the report.", "dim")
        console.print()
    if audit := story.get("audit"):
        say(console, _audited(audit))
        console.print()
    shares = story.get("shares") or {}
    if shares.get("shifted"):
        right = shares.get("accuracy")
        expected = "" if right is None else f" About {percent(right)} will be right then."
        say(console, plain(shares["sentence"]) + expected)
    _list(console, story.get("next") or ())
    say(console, f"Took    {duration(run.get('seconds'))}")
    say(console, f"Run     {plain(run['folder'])}", whole=True)
    say(console, f"Report  {plain(report)}", whole=True)


def _audited(audit: Item) -> str:
    """How right the model is on unlabelled records whose true labels were kept aside."""
    if not audit["records"]:
        return "Audit: the column holds no label of an unlabelled record."
    sure, every = audit.get("precision"), audit["accuracy"]
    said = f"Audit: no prediction has a confidence of {percent(audit['threshold'], 0)}"
    if sure:
        said = (
            f"Audit: precision of confident pseudo-labels {interval(sure)} on "
            f"{many(sure['n'], 'audited record', 'audited records')}"
        )
    said += f"; accuracy {interval(every)} on all {count(every['n'])}."
    if audit["unknown"]:
        bear = many(audit["unknown"], "of them bears", "of them bear")
        said += f" {bear} a label that is no class of the model, which counts as wrong."
    return said


def show_predictions(summary: Item) -> None:
    """How many records were predicted as what, and where that was written."""
    console = new_console()
    say(
        console,
        f"{count(summary['records'])} predictions written to {plain(summary['out'])}; "
        f"mean confidence {percent(summary['mean_confidence'])}.",
        "bold",
    )
    say(console, _class_line(summary["predictions"]))
    if accuracy := summary["metrics"].get("accuracy"):
        measured = f"Accuracy {interval(accuracy)} on {records(accuracy['n'])} with a label."
        say(console, measured, f"bold {ACCENT}")
    if summary["quarantined"]:
        said = f"{records(summary['quarantined'])} could not be read; listed beside the result."
        say(console, said, "yellow")
    if noticed := [f for f in summary["findings"] if f["severity"] != "info"]:
        _show_findings(console, noticed, {})


def show_comparison(comparison: Item) -> None:
    """Runs side by side, then each pair's difference in words."""
    console = new_console()
    table = new_table("run", "method", "dataset", "accuracy", "baseline", "verdict", "took")
    table.columns[3].style, table.columns[4].style = ACCENT, BASELINE
    for row in comparison["rows"]:
        verdict = row.get("verdict")
        table.add_row(
            plain(row["run"]),
            plain(row["method"]),
            plain(row["dataset"]),
            interval(row.get("accuracy") or {}),
            interval(row.get("baseline") or {}),
            plain(verdict.get("outcome") if isinstance(verdict, Mapping) else verdict),
            duration(row.get("seconds")),
        )
    console.print(table)
    for pair in comparison.get("pairs") or ():
        gain = (pair.get("difference") or {}).get("value")
        said = pair.get("sentence") or ("" if gain is None else f"{points(gain)} points")
        say(console, f"{plain(pair['a'])} against {plain(pair['b'])}: {plain(said)}")
    for warning in comparison.get("warnings") or ():
        say(console, f"! {plain(warning)}", "yellow")


def show_pretraining(story: Item, report: Path) -> None:
    """What a pretraining is worth, what was wrong with it, and how to use it."""
    run, console = story["run"], new_console()
    say(console, plain(story["sentence"]), f"bold {ACCENT}")
    comparison = story.get("comparison") or {}
    table = new_table("start", "accuracy", "points over from scratch")
    table.columns[1].style = ACCENT
    for row in comparison.get("rows") or ():
        gap = row.get("difference") or {}
        low, high = (points(gap.get(end), sign=False) for end in ("low", "high"))
        said = f"{points(gap['value'])} ({low} to {high})" if gap else ""
        table.add_row(
            f"{plain(row['start'])} · {plain(row['note'])}", interval(row["accuracy"]), said
        )
    if table.row_count:
        console.print()
        console.print(table)
        say(
            console,
            f"{count(comparison.get('n'))} labelled records, {count(comparison.get('folds'))} "
            f"folds, the same linear head; 95{THIN}% intervals in brackets.",
            "dim",
        )
        console.print()
    ended = (story.get("training") or {}).get("restarts") or ()
    for alarm in [*ended, *(story.get("alarms") or ())]:
        say(
            console,
            f"! step {count(alarm['step'])}: {plain(alarm['cause'])}. {plain(alarm['advice'])}",
            "yellow",
        )
    say(console, f"Took    {duration(run.get('seconds'))}")
    say(console, f"Report  {plain(report)}", whole=True)
    say(console, f"Use it  leaven fit DATA --encoder {plain(run['folder'])}", whole=True)


def show_pretexts(pretexts: Sequence[Item]) -> None:
    """Every registered pretext, family by family."""
    table = new_table("pretext", "family", "records", "what it learns by", "paper")
    table.columns[0].no_wrap = True
    for pretext in pretexts:
        serves = ", ".join(pretext["modalities"]) or "all"
        table.add_row(
            plain(pretext["name"]),
            plain(pretext["family"]),
            serves,
            plain(pretext["summary"]),
            plain(pretext["paper"]),
        )
    new_console().print(table)


def show_methods(methods: Sequence[Item]) -> None:
    """Every registered method with its paper."""
    table = new_table("method", "family", "reads unlabelled", "what it does", "paper")
    table.columns[0].no_wrap = True
    for method in methods:
        table.add_row(
            plain(method["name"]),
            plain(method["family"]),
            "yes" if method["unlabelled"] else "no",
            plain(method["summary"]),
            plain(method["paper"]),
        )
    new_console().print(table)


def show_table_of_methods(methods: Sequence[Item]) -> None:
    """The methods that are rows of choices, as the table that they are."""
    rows = {method["name"]: method["row"] for method in methods if method.get("row")}
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    lines = [[name, *(row.get(part, "–") for part in parts)] for name, row in rows.items()]
    heads, console = ["method", *parts], new_console()
    needed = sum(2 + max(map(len, column)) for column in zip(heads, *lines, strict=True))
    if console.is_terminal and needed > console.width:  # a line or two each
        for name, *choices in lines:
            told = zip(parts, choices, strict=True)
            said = "  ·  ".join(f"{part} {plain(one)}" for part, one in told if one != "–")
            say(console, plain(name), "bold")
            say(console, "  " + said)
        return
    console.width = max(console.width, needed)
    table = new_table(*map(plain, heads))
    for line in lines:
        table.add_row(*map(plain, line))
    console.print(table)


def show_choices(choices: Sequence[Item]) -> None:
    """What each part of a row may be, with the settings as they are if not given."""
    table = new_table("part", "choice", "what it is")
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    before = ""
    for choice in choices:
        part = choice["part"] if choice["part"] != before else ""
        table.add_row(plain(part), plain(choice["written"]), plain(choice["summary"]))
        before = choice["part"]
    new_console().print(table)


def show_encoders(encoders: Sequence[Item]) -> None:
    """Every registered encoder, with how many weights learn where it is not ready-made."""
    table = new_table("encoder", "modality", "size", "weights", "what it is")
    for column in table.columns[:4]:
        column.no_wrap = True
    table.columns[3].justify = "right"
    for encoder in encoders:
        learning = "" if encoder["weights"] is None else count(encoder["weights"])
        table.add_row(
            plain(encoder["name"]),
            plain(encoder["modality"]),
            plain(encoder["size"]),
            "ready" if encoder["ready"] else learning,
            plain(encoder["summary"]),
        )
    new_console().print(table)


def _list(console: Console, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        line = Text(f"• {plain(sentence)}")
        if console.is_terminal:
            line = Text("\n  ").join(line.wrap(console, console.width - 2))
        say(console, line)


def _class_line(counts: Mapping[str, int]) -> str:
    """Class counts, the largest first; a long tail is only counted."""
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    if len(ordered) > _MANY and ordered[0][1] == ordered[-1][1]:
        return f"By class: {count(ordered[0][1])} each."
    said = ", ".join(f"{plain(name)} {count(n)}" for name, n in ordered[:_MANY])
    left = len(ordered) - _MANY
    return f"By class: {said or 'none'}" + (f", and {count(left)} more." if left > 0 else ".")


def _jsonable(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
