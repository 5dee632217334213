"""Supervised learners that wrappers wrap, one file each."""
