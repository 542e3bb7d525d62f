"""The fleet's page: what a week of a sweep says, as data and as pages made from that alone."""
