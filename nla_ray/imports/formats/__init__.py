"""Files of results: which format each has, and the records in it."""
