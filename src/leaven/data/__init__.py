"""What comes in: readers, kinds, checks, splits, duplicates; one file a modality.

Importing this package loads neither torch nor a reader.
"""
