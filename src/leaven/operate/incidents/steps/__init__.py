"""The steps of an incident, one file each."""
