"""Self-supervised objectives, one a file; each registers itself in PRETEXTS."""
