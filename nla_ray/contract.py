"""Files of `schemas/` that the code reads: in a checkout where they are kept, in a wheel beside the code."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def contract(name: str) -> Path:
    """Path of a file or folder of `schemas/`."""
    packaged = _PACKAGE / "schemas" / name
    return packaged if packaged.exists() else _PACKAGE.parent / "schemas" / name
