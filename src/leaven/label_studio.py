"""The verbs for Label Studio: push what is asked, pull what was answered, answer as its model."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import DataError, SettingError
from leaven.core.progress import Listener, Progress
from leaven.label.place import place_of
from leaven.labelling import query

if TYPE_CHECKING:
    from leaven.evaluate.run import Run
    from leaven.label.studio.client import Client

__all__ = ["backend", "kept_in", "pull", "push"]


def push(
    run: Run | str | Path,
    data: Any = None,
    *,
    url: str,
    token: str,
    project: str | None = None,
    count: int | None = None,
    strategy: str = "auto",
    wanted: int = 1,
    store: str | Path | None = None,
    queue: str | None = None,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Bring what waits in the queue into a project of Label Studio, with the model's predictions.

    The project serves the most urgent first. Pushed twice, nothing is there twice; a push that was
    cut off goes on.

    Parameters
    ----------
    data : the records, for pictures and sounds in full; by default those of the run.
    project : its title; by default the queue's name. Made where there is none.
    count : ask about so many records first, as `leaven.labelling.query` does, by this `strategy`
        and of `wanted` people each; None takes what waits.

    Raises LeavenError for names, records or a server that cannot be used.
    """
    from leaven.evaluate.run import Run
    from leaven.label.studio.client import Client
    from leaven.label.studio.known import Known
    from leaven.label.studio.pushing import push as bring

    tell = progress or (lambda _: None)
    client = Client(url, token)
    found = run if isinstance(run, Run) else Run.load(run)
    if count is not None:
        query(
            found, data, count=count, strategy=strategy, wanted=wanted, store=store, queue=queue,
            progress=progress,
        )  # fmt: skip
    asked = place_of(found, store, queue).open()
    pushed = bring(
        client, asked, Known(found, data), title=project or asked.name,
        tell=lambda what, done, whole: tell(Progress(what, done, whole)),
    )  # fmt: skip
    return asdict(pushed)


def pull(
    run: Run | str | Path,
    *,
    url: str,
    token: str,
    project: str | None = None,
    store: str | Path | None = None,
    queue: str | None = None,
) -> dict[str, Any]:
    """Take every annotation of the project into the queue: answers, skips, changes, deletions.

    Pulled twice, each counts once. Raises LeavenError for a project or a server that cannot be
    used.
    """
    from leaven.label.studio.answers import pull as take
    from leaven.label.studio.client import Client

    client = Client(url, token)
    asked = place_of(run, store, queue).open()
    found = _project(client, project or asked.name)
    return {"project": int(found["id"]), "queue": asked.name} | asdict(take(client, asked, found))


def backend(
    run: Run | str | Path,
    data: Any = None,
    *,
    opened: Callable[[str, str], None],
    warned: Callable[[str], None] = lambda sentence: None,
    host: str = "127.0.0.1",
    port: int = 0,
    secret: str | None = None,
    url: str | None = None,
    token: str | None = None,
    project: str | None = None,
    reached: str | None = None,
    store: str | Path | None = None,
    queue: str | None = None,
) -> None:
    """Serve the run's model as a backend of Label Studio, until Ctrl-C.

    Parameters
    ----------
    opened : told the address and the secret once it answers.
    warned : told what could not be set up, a sentence at a time.
    secret : what Label Studio must bring, 16 signs at least; made where none is given.
    url, token : the server to connect with, whose annotations are taken as they come; without
        them it only predicts.
    reached : the address by which that server reaches this one; by default the one it listens on.

    Raises LeavenError as `push` does, and SettingError for a port that cannot be had.
    """
    from leaven.evaluate.run import Run
    from leaven.label.studio.answers import pull as take
    from leaven.label.studio.client import Client, StudioError
    from leaven.label.studio.known import Known
    from leaven.serve.studio_backend import News, connect, serve

    if (url is None) != (token is None):
        raise SettingError("url", "given together with a token", url)
    secret = secrets.token_urlsafe(24) if secret is None else secret
    if len(secret) < 16 or not (secret.isascii() and secret.isprintable()):
        raise SettingError("secret", "at least 16 printable ASCII signs", f"{len(secret)} signs")
    known = Known(run if isinstance(run, Run) else Run.load(run), data)
    news, client, number = None, None, 0
    if url is not None and token is not None:
        client = Client(url, token)
        asked = place_of(known.run, store, queue).open()
        found = _project(client, project or asked.name)
        number = int(found["id"])
        take(client, asked, found)  # what came while nobody listened
        news = News(client, asked, found)

    def ready(address: str) -> None:
        opened(address, secret)
        if client is not None:
            try:
                said = connect(client, number, reached or address, known.version, secret)
            except StudioError as failed:
                said = [str(failed)]
            for sentence in said:
                warned(sentence)

    serve(known, secret=secret, opened=ready, host=host, port=port, news=news)


def kept_in(name: str, option: str) -> str:
    """The secret in this variable of the environment, which `option` named.

    Raises SettingError where it has none.
    """
    found = os.environ.get(name, "").strip()
    if not found:
        wanted = "the name of a variable of the environment that holds it"
        raise SettingError(option, wanted, name, "Set it first: export NAME=…")
    return found


def _project(client: Client, title: str) -> dict[str, Any]:
    found = client.projects(title)
    if len(found) != 1:
        raise DataError(
            f"{client.address} has {len(found) or 'no'} project{'s' * (len(found) > 1)} named "
            f"'{title}'. Push first: leaven label-studio push RUN, or name one by --project."
        )
    return found[0]
