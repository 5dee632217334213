"""What is asked for in a cluster: each setting checked before a manifest is made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leaven.core.budget import Budget
from leaven.core.errors import SettingError

__all__ = ["DATA", "HOME", "RUNS", "Looping", "Plan", "Review", "Training"]

#: Where the volume stands in every container. The registry keeps a run's folder as a path, so it
#: must be the same where a run is made, released and served.
HOME = "/leaven"
RUNS, DATA = f"{HOME}/runs", f"{HOME}/data"

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
_IMAGE = re.compile(
    r"(?=.{1,500}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_CPU = re.compile(r"[1-9]\d{0,3}|[1-9]\d{0,6}m|0\.[0-9]*[1-9]", re.ASCII)
_BYTES = re.compile(r"[1-9]\d{0,5}(Mi|Gi|Ti)", re.ASCII)
_CRON = re.compile(r"[0-9*/,-]+( [0-9*/,A-Za-z-]+){4}", re.ASCII)
_MOST_SIGNS = 40  # of a name, so that what is put behind it fits into 63


@dataclass(frozen=True)
class Review:
    """The pages on which people answer.

    `run` is the run's folder or the data in the volume, `host` the name by which the pages are
    reached.
    """

    run: str
    host: str

    def __post_init__(self) -> None:
        _in_volume("review", self.run)
        _matching("review_host", self.host, _HOST, "a host name such as labels.example.org")


@dataclass(frozen=True)
class Training:
    """Fits in the cluster.

    `data` is a path in the volume or an address; `seeds` fits run side by side, which differ in
    their seed; with a `schedule` (five fields, as cron has them) one runs again and again. `ray` is
    an image that has Ray besides, for one fit as a RayJob.
    """

    data: str
    label: str = ""
    method: str = ""
    budget: str = "30m"
    seeds: int = 1
    schedule: str = ""
    cpu: str = "2"
    memory: str = "8Gi"
    ray: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(https|s3|gs)://\S+", self.data):
            _in_volume("data", self.data)
        for parameter, name in (("label", self.label), ("method", self.method)):
            if not name.isprintable():
                raise SettingError(parameter, "a name of signs that can be printed", name)
        Budget.parse(self.budget)
        _whole("seeds", self.seeds, 1, 1000)
        _quantities(self.cpu, self.memory, "fit_")
        if self.schedule:
            _matching("schedule", self.schedule, _CRON, _FIELDS)
        if self.ray:
            _image("ray", self.ray)
            if "$" in self.data + self.label + self.method:
                raise SettingError(
                    "ray", "left out where data, label or method have a $", self.ray,
                    "Ray hands the command to a shell.",
                )  # fmt: skip


@dataclass(frozen=True)
class Looping:
    """The loop of the service, which goes on by a schedule.

    `config` is the policy's file in the volume; what it names must stand in the volume too.
    """

    config: str
    schedule: str = "*/15 * * * *"
    cpu: str = "2"
    memory: str = "8Gi"

    def __post_init__(self) -> None:
        _in_volume("loop", self.config)
        _matching("loop_schedule", self.schedule, _CRON, _FIELDS)
        _quantities(self.cpu, self.memory, "fit_")


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Parameters
    ----------
    service : as Leaven names it; what stands in the cluster is named after it.
    image : of the container, with a tag or digest, never `latest`.
    secret : the Secret that holds `store` (the URL of the database), with `signed` also
        `public-key` and `signing-key`, with `encrypted` also `encryption-key`. It is named here
        and never written.
    replicas, most : the least and most copies of the server.
    cpu, memory : of one server.
    storage, storage_class : of the volume for data and runs; the cluster's class if "".
    abstain : below this probability a record goes to people.
    kserve : serve by an InferenceService of KServe instead of a Deployment.
    canary : per cent of the requests that a new image gets at first (KServe alone).

    Raises SettingError for what cannot be used, in all classes of this file.
    """

    service: str
    image: str
    secret: str = "leaven"  # noqa: S105 - the name of a Secret, which is no secret
    signed: bool = False
    encrypted: bool = False
    replicas: int = 2
    most: int = 6
    cpu: str = "500m"
    memory: str = "2Gi"
    storage: str = "20Gi"
    storage_class: str = ""
    abstain: float = 0.0
    kserve: bool = False
    canary: int | None = None
    review: Review | None = None
    training: Training | None = None
    looping: Looping | None = None

    def __post_init__(self) -> None:
        if not self.name or self.service.startswith("-") or not self.service.isprintable():
            raise SettingError("service", "a name with letters or digits, no - first", self.service)
        _image("image", self.image)
        _matching("secret", self.secret, _LABEL, _NAMES, most=63)
        if self.storage_class:
            _matching("storage_class", self.storage_class, _HOST, _NAMES)
        _whole("replicas", self.replicas, 1, 1000)
        _whole("most", self.most, self.replicas, 1000)
        _quantities(self.cpu, self.memory)
        _matching("storage", self.storage, _BYTES, "a size such as 20Gi")
        if not 0 <= self.abstain < 1:
            raise SettingError("abstain", "a probability from 0 to below 1", self.abstain)
        if self.canary is not None:
            _whole("canary", self.canary, 1, 99)
            if not self.kserve:
                raise SettingError(
                    "canary", "left out without KServe", self.canary,
                    "A run is tried by leaven release RUN --canary, which needs no manifest.",
                )  # fmt: skip

    @property
    def name(self) -> str:
        """The service's name as Kubernetes takes it.

        >>> Plan("AG_news", "leaven:1").name
        'ag-news'
        """
        plain = re.sub(r"[^a-z0-9]+", "-", self.service.lower(), flags=re.ASCII)
        return plain.strip("-")[:_MOST_SIGNS].strip("-")


_FIELDS = "five fields as cron has them: 0 3 * * 1"
_NAMES = "lower-case letters, digits and hyphens, as Kubernetes names things"


def _matching(
    parameter: str, value: str, pattern: re.Pattern[str], wanted: str, most: int = 500
) -> None:
    if len(value) > most or not pattern.fullmatch(value):
        raise SettingError(parameter, wanted, value)


def _image(parameter: str, image: str) -> None:
    _matching(parameter, image, _IMAGE, "an image such as registry.example.org/leaven:0.1.0")
    if ":" not in image.rpartition("/")[2] or image.endswith(":latest"):
        raise SettingError(
            parameter, "one with a tag or digest that stays what it is", image,
            "With a tag that moves, copies of one server differ.",
        )  # fmt: skip


def _in_volume(parameter: str, path: str) -> None:
    parts = path.split("/")
    if not path.startswith(f"{HOME}/") or ".." in parts or not path.isprintable():
        raise SettingError(
            parameter, f"a path in the volume, which stands at {HOME}, as {DATA}/tickets.csv", path
        )


def _whole(parameter: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingError(parameter, f"a whole number from {least} to {most}", value)


def _quantities(cpu: str, memory: str, before: str = "") -> None:
    _matching(f"{before}cpu", cpu, _CPU, "a number of cores such as 2, 0.5 or 500m")
    _matching(f"{before}memory", memory, _BYTES, "a size such as 512Mi or 2Gi")
