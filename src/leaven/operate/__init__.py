"""What is live: which run serves, since when, and who decided it."""
