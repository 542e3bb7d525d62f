"""A run on storage: plan, units, commit, verification."""
