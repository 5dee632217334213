"""What runs and releases cost: prices, ledgers of what was spent, and what it bought."""
