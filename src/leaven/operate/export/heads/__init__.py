"""What each kind of head becomes in a graph, one file a family."""
