"""Frozen encoders from elsewhere, one adapter a modality; `learn/extractor.py` finds them."""
