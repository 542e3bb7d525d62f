"""What people say of an audit's hits: their labels, and how far they agree."""
