"""People whose processes are killed at any moment: what was acknowledged is there, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import and_, select

import tests.store.annotators as annotators
from leaven.label.queue import Ask, Queue
from leaven.store.store import Store
from leaven.store.tables import events
from tests.store.history import check_history

pytest_plugins = ["tests.store.databases"]

KILLS = 200


def test_no_answer_is_lost_or_doubled_by_200_kills(address: str, tmp_path: Path):
    store = Store(address)
    queue = Queue.made(store, "q", classes=["cat", "dog"], modality="text")
    queue.add([Ask(f"r{i}", "c", wanted=1 + i % 3) for i in range(4000)])
    script = [sys.executable, annotators.__file__, address, "q", str(tmp_path), str(KILLS), "0"]
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(script, capture_output=True, text=True, env=told, timeout=300)
    assert ended.returncode == 0, ended.stderr
    with store.read() as connection:
        mine = and_(events.c.queue == queue.id, events.c.key.is_not(None))
        rows = connection.execute(select(events).where(mine)).all()
    kept = {row.key: row for row in rows}
    assert len(kept) == len(rows)
    unknown, acknowledged = 0, 0
    for person in annotators.PEOPLE:
        lines = annotators.sent(tmp_path / f"{person}.log")
        known = {line[1]: int(line[2]) for line in lines if line[0] == "kept"}
        for _, key, task, label in (line for line in lines if line[0] == "send"):
            if key not in known:  # killed for good before it was told
                unknown += 1
                assert key == lines[-1][1]
                continue
            acknowledged += 1
            row = kept.pop(key)
            assert (row.id, row.task, row.person) == (known[key], int(task), person)
            assert row.label == (None if label == "-" else label)
    assert len(kept) <= unknown <= len(annotators.PEOPLE)
    assert acknowledged > KILLS / 4
    check_history(store)
    # Nothing that a killed process held is stuck.
    queue.answer(queue.lease("eve")[0].id, "eve", "cat", key="eve")
    store.close()
