"""People's verdicts on what an audit found: the sample, sittings, and what follows for detectors."""
