"""A unit of work: on its way, written already, in halves, and what it cost."""
