"""Whether what comes in now is still what the model was made for."""
