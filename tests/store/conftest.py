"""What in this folder is no test: a plugin and a script, which are loaded by those who use them."""

collect_ignore = ["annotators.py", "databases.py"]
