"""Incidents: what was wrong, the evidence as it was found, what was done, and what is learnt."""
