"""Game days: faults brought into a set-up of their own, and what was promised held against them."""
