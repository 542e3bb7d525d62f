"""The report of an audit: a model of what it says, and pages made from that alone."""
