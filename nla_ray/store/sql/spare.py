"""What Arrow imports where it is installed, and a process that hands rows on as Arrow has no use for."""

from __future__ import annotations

import sys

UNUSED = ("numpy", "pandas")


def spare() -> None:
    """From here on this process has none of them; Arrow then makes no Python value of some types."""
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # an import of it then fails
