"""One file for each shape that messages are recorded in: what only this shape has."""
