"""The drills, one file each; each registers itself by its name."""
