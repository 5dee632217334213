"""Metrics for Prometheus: what is counted, how it is told, and rules and pictures of it."""
