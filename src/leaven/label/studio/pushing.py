"""What waits in a queue, into a project of Label Studio; and nothing of it twice.

What is in the project already is read first, so the same push again adds what is missing and
nothing else, whether it was whole the first time or was cut off. Everything is checked before the
first of it is sent, and read back when all of it is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leaven.core.errors import DataError
from leaven.label.queue import Queue, Task
from leaven.label.studio.client import Client, StudioError
from leaven.label.studio.config import Choosing, Config, labelling_config, problems, shown_as
from leaven.label.studio.known import Guess, Known
from leaven.label.studio.media import Media, media_of_shown
from leaven.label.studio.tasks import (
    Asked,
    asked_in,
    channels,
    data_of,
    open_tasks,
    prediction,
    scores,
)

__all__ = ["Pushed", "push"]

_BATCH, _BATCH_BYTES = 200, 4 * 2**20
_FILES = 20
_SAMPLING = "Uncertainty sampling"
_NOTHING = "-"  # in the place of an upload's path while it is only checked

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pushed:
    """What a push did: tasks added, predictions added to tasks that were there, what was left out.

    `unshown` are records of which there is nothing to show, `doubled` those that the project asks
    about twice, as two pushes at the same time can bring about.
    """

    project: int
    title: str
    url: str
    waiting: int
    added: int
    predicted: int
    before: int
    files: int
    unshown: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()


@dataclass
class _There:
    """What the project holds of this queue: its tasks, and which versions have spoken of each."""

    tasks: dict[Asked, int] = field(default_factory=dict)
    told: dict[Asked, list[Mapping[str, Any]]] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Ready:
    """A task as it will be sent: what it shows, what is predicted of it, its picture or sound."""

    task: Task
    item: dict[str, Any]
    prediction: dict[str, Any] | None
    media: Media | None


def push(
    client: Client,
    queue: Queue,
    known: Known,
    *,
    title: str,
    tell: Tell = lambda what, done, whole: None,
) -> Pushed:
    """Bring the open tasks of a queue into the project of this title, which is made if need be.

    Raises DataError where nothing waits or the project cannot ask it, StudioError where the server
    fails; then what was sent stays, and the same push goes on.
    """
    tasks = open_tasks(queue)
    if not tasks:
        raise DataError(f"Nothing waits in the queue '{queue.name}'. Ask first: leaven query RUN.")
    project, config, choosing = _project(client, queue, tasks, title, known.version)
    number = int(project["id"])
    tell("reading the project", 0, 0)
    there = _there(client, number, queue)
    tell("reading the records", 0, 0)
    ready, unshown = _ready(queue, known, tasks, choosing, there)
    _check(ready, config)
    new = [one for one in ready if Asked.of(one.task) not in there.tasks]
    paths, files = _uploaded(client, number, [one.media for one in new if one.media], tell)
    sent = 0
    for some in _batches([_whole(one, queue, paths) for one in new]):
        client.post(f"/api/projects/{number}/import", some)
        sent += len(some)
        tell("sending", sent, len(new))
    late = [
        one.prediction | {"task": there.tasks[Asked.of(one.task)]}
        for one in ready
        if one.prediction and Asked.of(one.task) in there.tasks
        and not _spoken(there.told[Asked.of(one.task)], known.version)
    ]  # fmt: skip
    for some in _batches(late):
        client.post(f"/api/projects/{number}/import/predictions", some)
    tell("looking whether it arrived", 0, 0)
    _settle(client, project, queue, tasks, known.version, any(one.prediction for one in ready))
    if new or late:
        there = _there(client, number, queue)
    _verify(client, number, there, ready, config, known.version)
    return Pushed(
        number, title, f"{client.address}/projects/{number}/data", len(tasks), len(new), len(late),
        len(ready) - len(new), files, tuple(unshown), tuple(there.doubled),
    )  # fmt: skip


def _project(
    client: Client, queue: Queue, tasks: Sequence[Task], title: str, version: str
) -> tuple[dict[str, Any], Config, Choosing]:
    """The project, made if it is not there; how its classes are chosen."""
    wanted = labelling_config(
        queue.classes, queue.modality, question=queue.question, channels=channels(tasks)
    )
    found = client.projects(title)
    if len(found) > 1:
        raise DataError(
            f"{client.address} has {len(found)} projects named '{title}'. Rename the others, or "
            "name another project."
        )
    if not found:
        made = client.post(
            "/api/projects/",
            {
                "title": title, "label_config": wanted, "sampling": _SAMPLING,
                "model_version": version, "show_collab_predictions": True,
                "description": f"Asked by Leaven: the queue '{queue.name}'.",
                "maximum_annotations": max(task.wanted for task in tasks),
            },
        )  # fmt: skip
        if not isinstance(made, dict) or not isinstance(made.get("id"), int):
            raise StudioError(f"{client.address} made no project. Is this Label Studio?")
        found = [made]
    project = found[0]
    config = Config.read(str(project.get("label_config", "")))
    try:
        choosing = config.choosing(queue.classes)
    except DataError:
        if not _is_ours(config, queue):
            raise
        client.patch(f"/api/projects/{project['id']}/", {"label_config": wanted})
        config = Config.read(wanted)
        choosing = config.choosing(queue.classes)
    return project, config, choosing


def _is_ours(config: Config, queue: Queue) -> bool:
    """Whether a configuration is one that Leaven wrote when there were fewer classes."""
    known = next((c.words for c in config.controls.values() if c.tag == "Choices"), ())
    fewer = queue.classes[: len(known)]
    return bool(known) and Config.read(labelling_config(fewer, queue.modality)).controls == (
        config.controls
    )


def _there(client: Client, number: int, queue: Queue) -> _There:
    there = _There()
    for one in client.tasks(number):
        asked = asked_in(one, queue.name)
        if asked is None:
            continue
        if asked in there.tasks:
            there.doubled.append(asked.record)
        there.tasks.setdefault(asked, int(one["id"]))
        spoken = [told for told in one.get("predictions") or () if isinstance(told, Mapping)]
        there.told.setdefault(asked, []).extend(spoken)
    return there


def _ready(
    queue: Queue, known: Known, tasks: Sequence[Task], choosing: Choosing, there: _There
) -> tuple[list[_Ready], list[str]]:
    """Each task as it is to be sent, and the records that cannot be shown."""
    guesses = _guesses(known, tasks)
    with_media = shown_as(queue.modality)[0] in ("Image", "Audio")
    ready, unshown = [], []
    for task, score in zip(tasks, scores(tasks), strict=True):
        asked = Asked.of(task)
        media = None
        if with_media and asked not in there.tasks:
            media = _media(queue, known, task)
        item = data_of(queue, task, _NOTHING if media or asked in there.tasks else None)
        if item is None:
            unshown.append(task.record)
            continue
        told = prediction(choosing, guesses[task.id], score, known.version, _region(task))
        ready.append(_Ready(task, item, told, media))
    return ready, unshown


def _guesses(known: Known, tasks: Sequence[Task]) -> dict[int, Guess]:
    """What this run's model says; what another run said only where its record is not known."""
    mine = known.run.folder.name
    others = [task.record for task in tasks if task.origin.get("run") != mine]
    found: dict[str, Guess] = {}
    if others:
        try:
            found = known.guesses(others)
        except DataError:  # the records are gone; the queue keeps what was said of them
            found = {}
    return {task.id: found.get(task.record, tuple(task.guess)) for task in tasks}


def _media(queue: Queue, known: Known, task: Task) -> Media | None:
    """A task's picture or sound, as the records have it, or small as the queue shows it."""
    try:
        found = known.media(task.record)
    except DataError:
        found = None
    return found or media_of_shown(task.shown, queue.modality)


def _check(ready: Sequence[_Ready], config: Config) -> None:
    """Nothing is sent of which any part would be of no use."""
    for one in ready:
        wrong = problems(one.prediction, config) if one.prediction else []
        data = one.item["data"]
        if missing := sorted(config.variables - set(data)):
            wrong.append(f"the project shows ${missing[0]}, which it has not")
        for name, columns in config.channels.items():
            if lacking := [c for c in columns if c not in (data.get(name) or {})]:
                wrong.append(f"its series has no column '{lacking[0]}'")
        if wrong:
            raise DataError(
                f"The task of '{one.task.record}' does not fit the project: {'; '.join(wrong)}. "
                "Nothing was sent. Name another project; Leaven makes it."
            )


def _uploaded(
    client: Client, number: int, media: Sequence[Media], tell: Tell
) -> tuple[dict[str, str], int]:
    """Where each file lies by its name, those that were there already too; how many were sent."""
    if not media:
        return {}, 0

    def listed() -> dict[str, str]:
        found = client.get(f"/api/projects/{number}/file-uploads", all="true")
        paths = [str(one.get("file", "")) for one in found if isinstance(one, Mapping)]
        return {name: f"/data/{path}" for path in paths if (name := Media.name_in(path))}

    there = listed()
    new = list({one.name: one for one in media if one.name not in there}.values())
    for start in range(0, len(new), _FILES):
        some = [(one.name, one.kind, one.content) for one in new[start : start + _FILES]]
        client.upload(f"/api/projects/{number}/import?commit_to_project=false", some)
        tell("sending files", start + len(some), len(new))
    there = listed() if new else there
    if lost := [one.name for one in media if one.name not in there]:
        raise StudioError(
            f"{client.address} did not keep {len(lost)} of the files, such as {lost[0]}."
        )
    return there, len(new)


def _whole(one: _Ready, queue: Queue, paths: Mapping[str, str]) -> dict[str, Any]:
    item = dict(one.item)
    if one.media:
        item["data"] = item["data"] | {shown_as(queue.modality)[1]: paths[one.media.name]}
    return item | {"predictions": [one.prediction] if one.prediction else []}


def _batches(items: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    size = 0
    for item in items:
        length = len(json.dumps(item))
        if some and (len(some) == _BATCH or size + length > _BATCH_BYTES):
            yield some
            some, size = [], 0
        some.append(item)
        size += length
    if some:
        yield some


def _settle(
    client: Client, project: Mapping[str, Any], queue: Queue, tasks: Sequence[Task], version: str,
    predicted: bool,
) -> None:  # fmt: skip
    """The project serves by these scores, shows these predictions, and asks as many people.

    Its model version can only be set once a prediction has it.
    """
    wanted: dict[str, Any] = {"sampling": _SAMPLING, "show_collab_predictions": True}
    if predicted:
        wanted["model_version"] = version
    people = max(task.wanted for task in tasks)
    if int(project.get("maximum_annotations") or 1) < people:
        wanted["maximum_annotations"] = people
    now = client.get(f"/api/projects/{project['id']}/")
    if changed := {name: value for name, value in wanted.items() if now.get(name) != value}:
        client.patch(f"/api/projects/{project['id']}/", changed)


def _verify(
    client: Client, number: int, there: _There, ready: Sequence[_Ready], config: Config,
    version: str,
) -> None:  # fmt: skip
    """Each task is there, with a prediction that can be used. StudioError where one is not."""
    settings = client.get(f"/api/projects/{number}/")
    for one in ready:
        asked = Asked.of(one.task)
        if asked not in there.tasks:
            raise StudioError(f"{client.address} did not keep the task of '{asked.record}'.")
        if one.prediction is None:
            continue
        told = _spoken(there.told[asked], version)
        wrong = problems(told, config) if told else ["it is not there"]
        if wrong:
            raise StudioError(
                f"{client.address} did not keep the prediction of '{asked.record}': {wrong[0]}."
            )
        if settings.get("model_version") != version:
            raise StudioError(
                f"The project shows predictions of {settings.get('model_version')!r}, not of "
                f"{version!r}: it would ask in random order. Choose it in the project's settings."
            )


def _spoken(told: Sequence[Mapping[str, Any]], version: str) -> Mapping[str, Any] | None:
    return next((one for one in told if one.get("model_version") == version), None)


def _region(task: Task) -> str:
    """A short number of a region that no other of the project has."""
    asked = "\x1f".join((task.record, task.kind, task.batch))
    return hashlib.sha256(asked.encode()).hexdigest()[:10]
