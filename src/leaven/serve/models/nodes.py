"""Requests about the nodes of a graph: one of its own by its id, or a new one by what it has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from leaven.data.dataset import Column
from leaven.data.portable.content import content_of
from leaven.data.portable.decoding import record_of
from leaven.data.portable.nodes import NODE, RESERVED
from leaven.serve.models.limits import Limits, Refused
from leaven.serve.models.records import Reader, Record

__all__ = ["NodeReader"]

_SHOWN = 20


class NodeReader(Reader):
    """Reads requests for a model of a graph's nodes.

    What a new node's cells must be is known to the model, which reads them as `leaven predict`
    does; here they are bounded.

    Parameters
    ----------
    spec : what the model's exported form says of its graph, with `ids` and `content` of its nodes.
    """

    def __init__(self, columns: Sequence[Column], limits: Limits, spec: Mapping[str, Any]) -> None:
        super().__init__(columns, "graph", limits)
        self._names |= set(RESERVED)
        self._content: dict[str, str] = dict(zip(spec["ids"], spec["content"], strict=True))
        #: A request that any such model answers, of those that take longest.
        first = spec["ids"][0]
        self.made: Record = {"neighbours": [first]} if spec["new"] else {NODE: first}

    def checked(self, given: object, place: int = 0) -> Record:
        """An own node's id, or the cells and neighbours of a new one; Refused (422) for neither."""
        if isinstance(given, str):
            given = {NODE: given}
        if not isinstance(given, Mapping):
            told = 'must be {"node": id}, or the cells and neighbours of a new node'
            raise Refused(422, f"Record {place + 1} {told}.")
        given = record_of(given, {column.name: column.kind for column in self.columns})
        wanted = (*RESERVED, *(column.name for column in self.columns))
        found = {name: given[name] for name in wanted if given.get(name) is not None}
        if not found:
            raise self._none(given, place)
        for name, value in found.items():
            many = len(value) if isinstance(value, list | str) else 0
            most = self.limits.text if isinstance(value, str) else self.limits.numbers
            if many > most:
                raise Refused(422, f"Record {place + 1} has more than {most} in {name!r}.")
        return {NODE: found[NODE]} if NODE in found else found

    def content(self, record: Record) -> str:
        """The digest of an own node's content, as its dataset has it; of a new one, its own."""
        if NODE in record:
            return self._content.get(str(record[NODE]), "")
        told = json.dumps([record.get(name) for name in RESERVED], default=str)
        own = content_of(record, self._kinds)
        return hashlib.blake2b(f"{own}\x1f{told}".encode(), digest_size=16).hexdigest()

    def show(self, record: Record) -> dict[str, Any]:
        """As a page shows it."""
        some = list(record.items())[:_SHOWN]
        return {"kind": "row", "cells": [{"name": n, "value": str(v)[:200]} for n, v in some]}
