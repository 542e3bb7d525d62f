"""The pair of a decode: what is known of it, and what is proven before it is used."""
