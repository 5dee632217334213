"""How far labels can be trusted: agreement, audits, when to stop, what to take back."""
