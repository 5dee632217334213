"""The commands for Label Studio: push, pull, and the model behind it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import QueueName, Store
from leaven.cli.options import Json, RunFolder
from leaven.cli.words import plain
from leaven.core.wording import count, many

__all__ = ["backend", "label_studio", "pull", "push"]

_TOKEN = "LABEL_STUDIO_TOKEN"  # noqa: S105 - the name of a variable
_SERVER = "The server"

Records = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="The records; those of the run if not given."),
]
Url = Annotated[
    str,
    typer.Option(metavar="URL", help="The address of Label Studio.", rich_help_panel=_SERVER),
]
TokenEnv = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The variable of the environment that holds the token of its account page.",
        rich_help_panel=_SERVER,
    ),
]
Project = Annotated[
    str | None,
    typer.Option(
        metavar="TITLE",
        help="The project there; named as the queue if not given.",
        rich_help_panel=_SERVER,
    ),
]

label_studio = typer.Typer(
    help="Questions into Label Studio, answers out of it.", no_args_is_help=True
)
app.add_typer(label_studio, name="label-studio")


@label_studio.command("push")
def push(
    run: RunFolder,
    data: Records = None,
    url: Url = "http://localhost:8080",
    token_env: TokenEnv = _TOKEN,
    project: Project = None,
    ask: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", help="Ask about so many records first; what waits if not given."
        ),
    ] = None,
    strategy: Annotated[
        str, typer.Option(metavar="NAME", help="How those are chosen, as leaven query does.")
    ] = "auto",
    people: Annotated[
        int, typer.Option(metavar="NUMBER", help="How many people are to answer each of those.")
    ] = 1,
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Bring what waits into a project, with the model's predictions, the most urgent first."""
    from leaven.cli.console import new_console, say
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json) as listener:
        from leaven import label_studio as verbs

        told = verbs.push(
            run,
            data,
            url=url,
            token=verbs.kept_in(token_env, "--token-env"),
            project=project,
            count=ask,
            strategy=strategy,
            wanted=people,
            store=store,
            queue=queue,
            progress=listener,
        )
    if as_json:
        print_json(told)
        return
    console = new_console()
    before = f", {count(told['before'])} were there" if told["before"] else ""
    say(
        console,
        f"{many(told['added'], 'record is', 'records are')} new in the project "
        f"'{plain(told['title'])}'{before}.",
        "bold",
    )
    if told["predicted"]:
        say(console, f"{many(told['predicted'], 'prediction', 'predictions')} of this run added.")
    say(console, f"Answer there: {plain(told['url'])}", whole=True)
    for name, why in (("unshown", "cannot be shown"), ("doubled", "asked about twice there")):
        if told[name]:
            some = ", ".join(plain(one) for one in told[name][:5])
            say(console, f"{many(len(told[name]), 'record', 'records')} {why}: {some}", "yellow")


@label_studio.command("pull")
def pull(
    run: RunFolder,
    url: Url = "http://localhost:8080",
    token_env: TokenEnv = _TOKEN,
    project: Project = None,
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Take every annotation of the project into the queue: answers, skips, changes, deletions."""
    from leaven import label_studio as verbs
    from leaven.cli.console import new_console, say

    told = verbs.pull(
        run,
        url=url,
        token=verbs.kept_in(token_env, "--token-env"),
        project=project,
        store=store,
        queue=queue,
    )
    if as_json:
        print_json(told)
        return
    console = new_console()
    named = (("skips", "skipped"), ("changed", "changed"), ("deleted", "deleted"))
    more = "".join(f", {count(told[name])} {word}" for name, word in named if told[name])
    known = f" {count(told['again'])} were known." if told["again"] else ""
    say(console, f"{many(told['answers'], 'new answer', 'new answers')}{more}.{known}", "bold")
    for one in told["unread"][:10]:
        say(console, _unread(one), "yellow")
    if len(told["unread"]) > 10:
        say(console, f"and {count(len(told['unread']) - 10)} more", "dim")
    if told["foreign"]:
        say(console, f"{many(told['foreign'], 'task is', 'tasks are')} not of this queue.", "dim")


@label_studio.command("backend")
def backend(
    run: RunFolder,
    data: Records = None,
    port: Annotated[int, typer.Option(metavar="NUMBER", help="Any that is free if not given.")] = 0,
    host: Annotated[
        str, typer.Option(metavar="NAME", help="Where to listen; on this machine if not given.")
    ] = "127.0.0.1",
    secret_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The variable that holds what Label Studio must bring; made if not given.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The Label Studio to connect with, as its project's model.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    token_env: TokenEnv = _TOKEN,
    project: Project = None,
    reached: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address by which it reaches this one, where that is another.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    store: Store = None,
    queue: QueueName = None,
) -> None:
    """Answer as the model of a project, and take its annotations as they come, until Ctrl-C."""
    from leaven import label_studio as verbs

    verbs.backend(
        run,
        data,
        opened=lambda address, secret: typer.echo(
            f"Label Studio finds the model at {address}\nUser: leaven, password: "
            + ("as given" if secret_env else secret)
            + "\nCtrl-C ends."
        ),
        warned=lambda sentence: typer.echo(plain(sentence), err=True),
        host=host,
        port=port,
        secret=verbs.kept_in(secret_env, "--secret-env") if secret_env else None,
        url=url,
        token=verbs.kept_in(token_env, "--token-env") if url else None,
        project=project,
        reached=reached,
        store=store,
        queue=queue,
    )


def _unread(one: dict[str, Any]) -> str:
    return (
        f"Annotation {one['annotation']} of {plain(one['person'])} on {plain(one['record'])} was "
        f"not taken: {plain(one['why'])}."
    )
