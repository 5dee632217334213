"""Heads that are more than one matrix, one file each."""
