"""Many rows at once: as SQLAlchemy would have written them, and each once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from leaven.core.errors import StoreError
from leaven.store.prediction_tables import predictions
from leaven.store.store import Store
from leaven.store.upsert import add_new

pytest_plugins = ["tests.store.databases"]


def row(name: str, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": name, "request": "r", "service": "tickets", "at": 1.5, "run": "a", "digest": "d",
        "place": "live", "content": "c", "label": "it's \"%s\" :x ☃", "probability": 1e-7,
        "probabilities": [1e-7, 0.1, 1.0], "route": "answer", "explored": True, "logged": 1.0,
        "agrees": None, "position": 0.25, "seconds": None, "larger": None,
    }  # fmt: skip
    return told | more


def kept(store: Store) -> list[dict[str, Any]]:
    columns = [one for one in predictions.c if one.name != "id"]
    with store.read() as connection:
        found = connection.execute(select(*columns).order_by(predictions.c.name)).mappings()
        return [dict(one) for one in found]


def test_rows_are_written_as_by_sqlalchemy(store: Store):
    rows = [row("a"), row("b", agrees=False, explored=False, seconds=0.1, position=None)]
    with store.write() as connection:
        connection.execute(insert(predictions), rows)
    told = kept(store)
    with store.write() as connection:
        connection.execute(predictions.delete())
        add_new(connection, predictions, rows)
    assert kept(store) == told == rows


def test_what_is_there_stays_and_the_order_of_the_cells_does_not_matter(store: Store):
    with store.write() as connection:
        add_new(connection, predictions, [row("a")])
    turned = [dict(reversed(row(name, label="new").items())) for name in ("a", "b")]
    for _ in range(2):
        with store.write() as connection:
            add_new(connection, predictions, turned)
    assert [(one["name"], one["label"]) for one in kept(store)] == [
        ("a", row("a")["label"]),
        ("b", "new"),
    ]


def test_many_rows_are_written_in_their_order_whatever_their_number(store: Store):
    for number in (1, 49, 130):
        rows = [
            row(f"{i:03}", probability=i / 7, seconds=None if i % 3 else i) for i in range(number)
        ]
        with store.write() as connection:
            connection.execute(predictions.delete())
            add_new(connection, predictions, rows)
        assert [{key: one[key] for key in rows[0]} for one in kept(store)] == rows


def test_a_row_that_cannot_be_written_takes_the_others_with_it(store: Store):
    with pytest.raises(StoreError), store.write() as connection:
        add_new(connection, predictions, [row("a"), row("b", label=None)])
    assert kept(store) == []
