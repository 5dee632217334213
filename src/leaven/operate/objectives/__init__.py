"""Objectives of a service: what is promised, what is kept of it, and who is told when it is not."""
