"""Encoders, one file each: from the arrays of a modality to features."""
