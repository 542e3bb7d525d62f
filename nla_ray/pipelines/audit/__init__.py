"""Committed runs to an audit's report."""
