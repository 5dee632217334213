"""What a label means, one file a task."""
