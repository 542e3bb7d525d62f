"""The corpus before it is decoded, file by file: read by workers, kept beside the tables, cut into units."""
