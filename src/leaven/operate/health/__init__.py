"""How good a service is now: without labels as far as that goes, and by a few audited ones."""
