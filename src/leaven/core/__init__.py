"""Nouns, errors, registry and settings. Nothing here knows torch."""
