"""Encoders from elsewhere as parts of an exported model, a module a modality."""
