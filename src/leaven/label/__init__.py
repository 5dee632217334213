"""What people say: what to ask them, what they answered, what it is worth."""
