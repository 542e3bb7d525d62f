"""Whether a pair reads a target, and how it is given its vectors: found out by decoding a few."""
