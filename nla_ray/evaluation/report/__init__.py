"""The report of an evaluation: its data, and a page made from the data alone."""
