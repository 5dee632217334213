"""The choices of which consistency methods are composed, a module a part."""
