"""Answers for many records: files of any size, streams, and small models before large ones."""
