"""Whole files of agent transcripts: Inspect logs, Scout tables, ATIF trajectories, Claude Code sessions."""
