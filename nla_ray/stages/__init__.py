"""The steps of a job, each a plain function or a callable on one batch; none knows Ray."""
