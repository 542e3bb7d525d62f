"""The documents of a corpus: found, cut into units, what of them cannot be used."""
