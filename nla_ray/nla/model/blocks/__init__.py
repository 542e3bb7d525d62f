"""The blocks of a decoder: found in any model, cut at K, held for one target or for several."""
