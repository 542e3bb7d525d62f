"""What this machine fetched or made from models and tables is kept here; deleted only while nothing runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$NLA_RAY_CACHE`, else `nla_ray` in the user's cache folder."""
    named = os.environ.get("NLA_RAY_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nla_ray"
