"""Labelling functions: rules that vote for a class or abstain, and the table of their votes."""
