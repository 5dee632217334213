"""Strategies, which choose the records to ask about, one file each or a family of one shape."""
