"""People who label, as processes that are killed; a script for the tests of the queue.

    annotators.py ADDRESS QUEUE FOLDER KILLS SEED

Three people lease, answer, skip and undo, each in a process of their own, until so many have been
killed (SIGKILL) at random moments. Who was killed comes back at once and first sends again what
had not been acknowledged, as a page does. Each writes into FOLDER/PERSON.log a line before a step
(`send KEY TASK LABEL`) and after it (`kept KEY EVENT`): what a process has written outlives it.

All are forked from this one, which has loaded everything, has sent each statement once, and holds
no connection.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from leaven.label.queue import Ask, Queue
from leaven.store.store import Store

PEOPLE = ("anna", "ben", "carl")
MOMENT = 0.012  # seconds at most between a step and a kill
PATIENCE = 60.0


def sent(log: Path) -> list[list[str]]:
    """The lines of a log, in words."""
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def warmed(store: Store) -> None:
    """Have every statement compiled."""
    queue = Queue.made(store, "warm", classes=["cat"], modality="text")
    queue.add([Ask("r", "c")])
    for number, task in enumerate(queue.lease("judge")):
        queue.answer(task.id, "judge", "cat", key=f"warm {number}")
    queue.undo("judge")
    store.close()


def live(queue: Queue, log: Path, chance: random.Random, steps: int) -> NoReturn:
    """Label until killed; tells `steps` of each line."""
    past = sent(log)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    person, number = log.stem, sum(line[0] == "send" for line in past)

    def note(line: str) -> None:
        os.write(file, f"{line}\n".encode())
        os.write(steps, b".")

    def say(key: str, task: int, label: str) -> None:
        told = queue.answer(task, person, None if label == "-" else label, key=key)
        note(f"kept {key} {told.event}")

    if past and past[-1][0] == "send":
        say(past[-1][1], int(past[-1][2]), past[-1][3])
    while True:
        for task in queue.lease(person, chance.randint(1, 3)):
            key, label = f"{person}-{number}", chance.choice([*queue.classes, "-"])
            number += 1
            note(f"send {key} {task.id} {label}")
            say(key, task.id, label)
        if chance.random() < 0.2:
            queue.undo(person)


def main(address: str, name: str, folder: str, kills: str, seed: str) -> None:
    """Fork and kill: one of them, a moment after a few more lines were written."""
    chance, alive = random.Random(int(seed)), {}
    store = Store(address)
    queue = Queue(store, name)
    warmed(store)
    seen, steps = os.pipe()
    for left in range(int(kills), 0, -1):
        for person in PEOPLE if left >= len(PEOPLE) else ():
            if person in alive:
                continue
            draw = random.Random(chance.random())
            if not (child := os.fork()):
                try:
                    live(queue, Path(folder, f"{person}.log"), draw, steps)
                finally:
                    os.write(2, repr(sys.exc_info()[1]).encode())
                    os._exit(1)
            alive[person] = child
        for _ in range(chance.randint(0, 3)):
            if not select.select([seen], [], [], PATIENCE)[0]:
                sys.exit(f"nobody did anything for {PATIENCE} s")
            os.read(seen, 1)
        time.sleep(chance.uniform(0.0, MOMENT))
        child = alive.pop(chance.choice(sorted(alive)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(f"process {child} ended by itself")


if __name__ == "__main__":
    main(*sys.argv[1:])
