"""How a database of an earlier Leaven becomes one of this."""
