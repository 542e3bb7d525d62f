"""The fast tests with the lowest, or the newest, versions that pyproject.toml allows: `make test-versions`.

Each kind has an environment of its own in the given folder. Needs the package index.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
KEPT = ("torch==2.13.0",)
"""Not taken newer here: newer ones are built for GPUs, of several GB."""


def project() -> dict[str, Any]:
    """The part `project` of pyproject.toml."""
    values: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return values


def lowest() -> Iterator[str]:
    """A pin at the floor of each dependency that has one."""
    for requirement in map(Requirement, project()["dependencies"]):
        yield from (
            f"{requirement.name}=={one.version}" for one in requirement.specifier if one.operator == ">="
        )


def main(kind: str, folder: Path) -> int:
    """Install that kind and run the tests; ends as pytest does."""
    place = folder / kind
    place.mkdir(parents=True, exist_ok=True)
    pins = place / "constraints.txt"
    pins.write_text("\n".join(lowest() if kind == "lowest" else KEPT) + "\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place / "venv")], check=True)
    python = str(place / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--constraint", str(pins), "--editable", ".[dev]"]
    subprocess.run(install, cwd=ROOT, check=True)
    return subprocess.run([python, "-m", "pytest", "-q", "-m", "not slow"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
