"""What to label next, and what a question shows."""
