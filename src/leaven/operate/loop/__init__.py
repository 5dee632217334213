"""The loop: from a trigger over a fit and a canary to new questions, step by step, in the store."""
