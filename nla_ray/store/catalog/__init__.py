"""What is committed: the files of each run, and an index of all runs."""
