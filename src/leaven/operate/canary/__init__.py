"""Canaries that are judged: all but the guard, which reads the store, is arithmetic."""
