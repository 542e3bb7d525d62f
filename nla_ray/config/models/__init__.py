"""Which models: where they are, how a verbalizer is given vectors, what answers behind an endpoint."""
