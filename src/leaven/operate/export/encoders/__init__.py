"""What each encoder becomes in a graph, one file a modality."""
