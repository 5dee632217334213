"""Records from a topic of Kafka, answers to another (extra `kafka`: confluent-kafka).

Offsets are committed after the broker has the answers. So no record is lost; after a kill a few may
be answered twice. Any broker that speaks Kafka's protocol serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from leaven.core.errors import DataError, MissingExtraError, SettingError

__all__ = ["Topics", "read_settings"]

_TOGETHER = 256  # messages that are taken at once
_PAUSE = 0.5  # seconds until whoever waits may stop
_PATIENCE = 30.0  # seconds for the broker to take answers


class Topics:
    """A consumer of one topic and a producer to another.

    Parameters
    ----------
    servers : host:port of one or several brokers, parted by commas.
    source, target : the topics.
    group : the consumer group, whose offsets say where it goes on.
    settings : more of librdkafka's, such as those of TLS.

    Raises MissingExtraError without the package, SettingError for settings it does not take.
    """

    def __init__(
        self,
        servers: str,
        source: str,
        target: str,
        group: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        library = _library()
        common = dict(settings or {}) | {"bootstrap.servers": servers}
        taking = {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        self._error = library.KafkaException
        try:
            self._consumer = library.Consumer(common | taking)
            self._producer = library.Producer(common | {"enable.idempotence": True})
        except self._error as refused:
            raise SettingError("kafka", "settings that librdkafka takes", str(refused)) from refused
        self._target = target
        self._consumer.subscribe([source])

    def run(
        self, answer: Callable[[Sequence[bytes]], Sequence[bytes]], ends: Callable[[], bool]
    ) -> None:
        """Answer messages until `ends` says so; an answer has its message's key.

        Parameters
        ----------
        answer : as many answers as it is given messages.
        ends : asked whenever nothing came for half a second.

        Raises DataError where the broker fails for good.
        """
        try:
            while True:
                messages = self._taken()
                if messages:
                    self._answer(messages, answer)
                elif ends():
                    return
        except self._error as failed:
            raise DataError(f"Kafka failed: {failed}. Check the broker and the topics.") from failed
        finally:
            self._consumer.close()

    def _taken(self) -> list[Any]:
        """What is there, after waiting for the first a little."""
        found = self._consumer.consume(1, _PAUSE)
        if found:
            found += self._consumer.consume(_TOGETHER - 1, 0)
        for message in found:
            if message.error() is not None and message.error().fatal():
                raise self._error(message.error())
        return [message for message in found if message.error() is None]

    def _answer(
        self, messages: Sequence[Any], answer: Callable[[Sequence[bytes]], Sequence[bytes]]
    ) -> None:
        refused: list[Any] = []

        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                refused.append(error)

        answers = answer([message.value() or b"null" for message in messages])
        for message, said in zip(messages, answers, strict=True):
            self._producer.produce(self._target, said, key=message.key(), on_delivery=delivered)
        left = self._producer.flush(_PATIENCE)
        if left or refused:
            why = refused[0].str() if refused else f"{left} answers were not taken in time"
            raise DataError(f"Kafka did not take the answers: {why}. They will be given again.")
        ahead: dict[tuple[str, int], Any] = {(m.topic(), m.partition()): m for m in messages}
        for message in ahead.values():
            self._consumer.commit(message, asynchronous=False)


def read_settings(path: str | Path) -> dict[str, str]:
    """librdkafka's settings of a file: lines `name=value`, # begins a comment."""
    found = {}
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as missing:
        raise SettingError("kafka-settings", "a readable file", str(path)) from missing
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, mark, value = line.partition("=")
        if not mark:
            raise SettingError("kafka-settings", "lines name=value", line)
        found[name.strip()] = value.strip()
    return found


def _library() -> Any:
    try:
        import confluent_kafka
    except ImportError as missing:
        raise MissingExtraError("kafka", "a stream from Kafka") from missing
    return confluent_kafka
