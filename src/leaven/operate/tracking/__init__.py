"""Runs and releases told to MLflow: what is said of a run, and the one adapter that says it."""
