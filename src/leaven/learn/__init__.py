"""How it learns: tasks, encoders, objectives, classic methods and the one loop."""
