"""Files that come with the code, of `schemas/` and `jobs/`: in a checkout beside it, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def contract(name: str) -> Path:
    """Path of a file or folder of `schemas/`."""
    return _shipped("schemas", name)


def job(name: str) -> Path:
    """Path of a file of `jobs/`."""
    return _shipped("jobs", name)


def _shipped(folder: str, name: str) -> Path:
    packaged = _PACKAGE / folder / name
    return packaged if packaged.exists() else _PACKAGE.parent / folder / name
