"""Methods that train a network over the one loop, one file each."""
