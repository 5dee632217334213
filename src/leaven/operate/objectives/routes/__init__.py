"""The ways by which people are told, one module a way."""
