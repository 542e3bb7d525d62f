"""A week of a sweep: every cell decoded, audited, compared and reported."""
