"""Where the state of a sweep lies under its root: write-once objects, and one lease per cell."""

from __future__ import annotations

TABLES = "tables"
"""The tables of all runs and audits of all sweeps of a root."""

SWEEPS = "sweeps"


def sweep_prefix(sweep: str) -> str:
    """What the keys of a sweep start with."""
    return f"{SWEEPS}/{sweep}/"


def week_prefix(sweep: str, week: str) -> str:
    """What the keys of one week start with."""
    return f"{sweep_prefix(sweep)}weeks/{week}/"


def week_key(sweep: str, week: str) -> str:
    """Key of what a week was begun with: its configuration and its cells."""
    return f"{week_prefix(sweep, week)}week.json"


def cell_prefix(sweep: str, week: str, pair: tuple[str, str]) -> str:
    """What the keys of one cell start with."""
    return f"{week_prefix(sweep, week)}cells/{'/'.join(pair)}/"


def speed_key(sweep: str, week: str, model: str, *, gpus: bool) -> str:
    """Key of how fast a model was found to be while a week was planned, on GPUs or without."""
    return f"{sweep_prefix(sweep)}speeds/{week}/{'gpu' if gpus else 'cpu'}/{model}.json"


def attempt_key(sweep: str, week: str, pair: tuple[str, str], n: int) -> str:
    """Key of the n-th attempt at a cell, counted from 1."""
    return f"{cell_prefix(sweep, week, pair)}attempt-{n}.json"


def result_key(sweep: str, week: str, pair: tuple[str, str], n: int) -> str:
    """Key of how the n-th attempt ended."""
    return f"{cell_prefix(sweep, week, pair)}result-{n}.json"


def run_key(sweep: str, week: str, pair: tuple[str, str], n: int) -> str:
    """Key of what the n-th attempt decoded, before its audit."""
    return f"{cell_prefix(sweep, week, pair)}run-{n}.json"


def lease_key(sweep: str, week: str, pair: tuple[str, str]) -> str:
    """Key of a cell's lease, the one object that is replaced."""
    return f"{cell_prefix(sweep, week, pair)}lease.json"


def reports_key(sweep: str, week: str, pair: tuple[str, str]) -> str:
    """Key of the folder for the reports of a cell's audits."""
    return f"{week_prefix(sweep, week)}reports/{'/'.join(pair)}"
