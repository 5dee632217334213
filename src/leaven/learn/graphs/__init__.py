"""Graphs of records: who is near whom, how strongly, and how labels flow along."""
