"""What of a document its target reads: tokens with labels, a window, the positions that are chosen."""
