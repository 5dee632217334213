"""Fixtures of all tests of served models."""

from __future__ import annotations

from tests.serve.models.released import pair, pictures, store, table, texts, vectors

__all__ = ["pair", "pictures", "store", "table", "texts", "vectors"]
