"""The commands. Only typer is imported here; each command loads the rest when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from leaven import __version__
from leaven.cli.options import (
    RESULT,
    TRAINING,
    Answers,
    Audit,
    Budget,
    Changed,
    CpuHours,
    Data,
    Encoder,
    Fresh,
    Group,
    Id,
    Json,
    Label,
    Labels,
    Memory,
    Metrics,
    Modality,
    Money,
    Out,
    Prices,
    RecipeFile,
    Rules,
    RunFolder,
    Seed,
    Shares,
    Time,
    Tune,
    settings_of,
    shares_of,
)
from leaven.core.errors import CapError, LeavenError

__all__ = ["EXIT_BAD_INPUT", "EXIT_INTERRUPTED", "EXIT_NOT_MET", "app", "main", "print_json"]

EXIT_NOT_MET = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


#: The commands in the order in which one comes to need them.
_COMMANDS = (
    *(
        "check",
        "fit",
        "predict",
        "stream",
        "cascade",
        "compare",
        "curve",
        "distil",
        "export",
        "pretrain",
    ),
    *("query", "review", "queue", "label", "rules", "label-studio", "users", "tokens"),
    *(
        "release",
        "serve",
        "canary",
        "feedback",
        "promote",
        "rollback",
        "retire",
        "releases",
        "prune",
        "key",
        "seal",
        "unseal",
        "audit",
    ),
    *("loop", "drift", "health", "costs", "slo"),
    *("gameday", "incident", "prometheus", "k8s", "mlflow"),
    *("methods", "pretexts", "encoders", "report"),
)


class Face(TyperGroup):
    """The command line as a whole: every failure ends here, as one block and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """As they are needed, whichever file they come from."""
        return sorted(super().list_commands(ctx), key=_COMMANDS.index)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> NoReturn:
        """Run a command and exit: 0 done, 1 not as asked, 2 wrong use or input, 130 Ctrl-C."""
        words = list(sys.argv[1:] if args is None else args)
        kwargs.update(standalone_mode=False, prog_name="leaven")
        as_json = "--json" in words
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a terminal that lacks a sign shows another
                stream.reconfigure(errors="replace")
        try:
            code = super().main(words, *rest, **kwargs)
        except CapError as error:
            _fail(type(error).__name__, str(error), as_json, head="Stopped: ")
            code = EXIT_NOT_MET
        except LeavenError as error:
            code = _fail(type(error).__name__, str(error), as_json)
        except typer.Abort:  # a question was left without an answer
            code = EXIT_INTERRUPTED
        except OSError as error:
            said = f"{error.strerror}: {error.filename}" if error.filename else str(error)
            code = _fail(type(error).__name__, said, as_json)
        except typer.TyperException as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "leaven"
            message = f"{error.format_message()}\nTry '{command} --help'."
            code = _fail("UsageError", message, as_json)
        if code == EXIT_INTERRUPTED:
            again = (
                " The same command continues where it stopped."
                if words[:1] in (["fit"], ["pretrain"], ["predict"], ["compare"])
                else ""
            )
            _fail("Interrupted", f"Interrupted.{again}", as_json, head="")
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the words name; a reader such as `head` may leave early."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is still buffered must go somewhere when Python closes its streams.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from None


app = typer.Typer(
    name="leaven",
    cls=Face,
    help="Accurate models from few labels and much unlabelled data, and an honest word on "
    "whether the unlabelled data helped. Begin with: leaven check DATA, then leaven fit DATA.",
    epilog="Exit codes: 0 done, 1 what was asked to hold does not, 2 wrong use or input.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Requirement(StrEnum):
    """What `fit --require` can ask for."""

    better = "better"


@app.callback(invoke_without_command=True)
def leaven(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version.")
    ] = False,
) -> None:
    """Print the version, or the help where no command is given."""
    if version:
        typer.echo(f"leaven {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_BAD_INPUT)


@app.command()
def check(
    data: Data,
    label: Label = None,
    modality: Modality = None,
    id: Id = None,
    group: Group = None,
    time: Time = None,
    audit: Audit = None,
    labels: Labels = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            metavar="",
            help="Exit with 1 where there is a warning or an error.",
            rich_help_panel=RESULT,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """What the data is, what is wrong with it, and whether unlabelled data may help."""
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_check

    with progress_line(quiet=as_json) as listener:
        from leaven import api

        report = api.check(
            data,
            label=label,
            modality=modality,
            id=id,
            group=group,
            time=time,
            audit=audit,
            labels=labels,
            progress=listener,
        )
    print_json(report) if as_json else show_check(report)
    if strict and any(f["severity"] in ("warning", "error") for f in report["findings"]):
        raise typer.Exit(EXIT_NOT_MET)


@app.command()
def fit(
    data: Data,
    label: Label = None,
    modality: Modality = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="One that `leaven methods` lists; chosen by modality if not given.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    encoder: Encoder = None,
    pretext: Annotated[
        str | None,
        typer.Option(
            "--pretrain",
            metavar="PRETEXT",
            help="Pretrain the encoder on this data first: one that `leaven pretexts` lists, or "
            "auto. The supervised model it is compared with begins from nothing.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    budget: Budget = None,
    seed: Seed = None,
    out: Out = "runs",
    id: Id = None,
    group: Group = None,
    time: Time = None,
    audit: Audit = None,
    labels: Labels = None,
    answers: Answers = None,
    rules: Rules = None,
    recipe: RecipeFile = None,
    rewrite: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Say texts otherwise for strong views: context, the folder of a masked language "
            "model, or MODULE:FUNCTION from texts to texts.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    changed: Changed = None,
    share: Shares = None,
    tune: Tune = False,
    cpu_hours: CpuHours = None,
    memory: Memory = None,
    money: Money = None,
    prices: Prices = None,
    metrics: Metrics = None,
    require: Annotated[
        Requirement | None,
        typer.Option(help="Exit with 1 unless the verdict is this.", rich_help_panel=RESULT),
    ] = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Train with and without the unlabelled records, judge both, and keep the better model."""
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_fit

    with progress_line(quiet=as_json) as listener:
        from leaven import api

        run = api.fit(
            data,
            label=label,
            modality=modality,
            id=id,
            group=group,
            time=time,
            audit=audit,
            labels=labels,
            answers=answers,
            rules=rules,
            method=method,
            encoder=encoder,
            pretext=pretext,
            budget=budget,
            seed=seed,
            out=out,
            rewrite=rewrite,
            recipe=recipe,
            settings=settings_of(changed or []),
            shares=shares_of(share or []),
            tune=tune,
            cpu_hours=cpu_hours,
            memory=memory,
            money=money,
            prices=prices,
            metrics=metrics,
            fresh=fresh,
            progress=listener,
        )
    story = run.story
    if as_json:
        told = ("run", "dataset", "metrics", "baseline", "verdict", "audit")
        print_json({key: story[key] for key in told if key in story})
    else:
        show_fit(story, run.folder / "report.html")
    outcome = story["verdict"]["outcome"]
    if require is not None and outcome != require:
        typer.echo(f"Required: {require}. The verdict is: {outcome}.", err=True)
        raise typer.Exit(EXIT_NOT_MET)


@app.command()
def methods(
    table: Annotated[
        bool,
        typer.Option(
            "--table", metavar="", help="The methods that are rows of choices, as one table."
        ),
    ] = False,
    choices: Annotated[
        bool,
        typer.Option(
            "--choices", metavar="", help="The choices that rows are composed of, for --set."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the methods, with their papers."""
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_choices, show_methods, show_table_of_methods

    with progress_line(quiet=True):
        from leaven import api

        known = api.choices() if choices else api.methods()
    if as_json:
        print_json({"choices" if choices else "methods": known})
    elif choices:
        show_choices(known)
    elif table:
        show_table_of_methods(known)
    else:
        show_methods(known)


@app.command()
def encoders(as_json: Json = False) -> None:
    """List the encoders that turn records into features."""
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_encoders

    with progress_line(quiet=True):
        from leaven import api

        known = api.encoders()
    print_json({"encoders": known}) if as_json else show_encoders(known)


@app.command()
def report(
    run: RunFolder,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to write; the run's folder if not.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's report again."""
    from leaven.cli.progress import progress_line

    with progress_line(quiet=True):
        from leaven import api

        page = api.report(run, out=out)
    print_json({"run": run, "report": str(page)}) if as_json else typer.echo(str(page))


def main() -> None:
    """The command `leaven`."""
    # A thread that waits for the others spins for a short while and then sleeps. By default it
    # spins 15 times as long: no gain on idle cores, twice the time where programs share them.
    # Read when torch is loaded, which comes later.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    app()


def print_json(result: object) -> None:
    """One JSON object on stdout."""
    from leaven.cli.show import as_json

    typer.echo(as_json(result))


def _fail(kind: str, message: str, as_json: bool, head: str = "Error: ") -> int:
    """Say on stderr what went wrong, and on stdout too where JSON was asked for."""
    if as_json:
        print_json({"error": {"type": kind, "message": message}})
    from leaven.cli.show import show_failure

    show_failure(head, message)
    return EXIT_BAD_INPUT
