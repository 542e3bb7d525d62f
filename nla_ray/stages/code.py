"""Which code makes rows: a digest of the sources that decide them, and versions of what they use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import nla_ray
from nla_ray.errors import EngineError
from nla_ray.ids import digest

PACKAGE = Path(nla_ray.__file__).parent

WITHOUT_ROWS = (
    "__main__.py",
    "audit",
    "cache.py",
    "chat",
    "cli",
    "config/audit.py",
    "config/detectors",
    "config/evaluate.py",
    "config/loading",
    "config/models/chat.py",
    "config/reading/importing.py",
    "config/runner.py",
    "config/sweep.py",
    "config/training",
    "contract.py",
    "demo",
    "evaluation",
    "exports",
    "fleet",
    "imports",
    "intervals.py",
    "likeness.py",
    "models.py",
    "nla/preflight",
    "pages",
    "pipelines/audit",
    "pipelines/decode/estimate.py",
    "pipelines/decode/outcome/summary.py",
    "pipelines/decode/pieces/examples.py",
    "pipelines/evaluate.py",
    "pipelines/importing.py",
    "pipelines/provenance.py",
    "pipelines/redacted.py",
    "pipelines/sweep",
    "pipelines/train",
    "pipelines/training_set",
    "providers",
    "runtime",
    "stages/training_set",
    "store",
    "tables/findings.py",
    "tables/runs.py",
    "tables/training.py",
    "training",
)
"""Faces, readers, other jobs, and what carries rows without deciding any. What is not named here counts."""


@dataclass(frozen=True)
class Code:
    """What decides a decode's rows beside its configuration; equal on every machine of a run.

    `sha256` is that of the sources. Versions are public ones: builds for CPU and for CUDA are one version.
    """

    sha256: str
    torch: str
    transformers: str
    tokenizers: str

    def __str__(self) -> str:
        used = (f"{name} {getattr(self, name)}" for name in ("torch", "transformers", "tokenizers"))
        return f"nla_ray sha256:{self.sha256[:16]}, {', '.join(used)}"


@cache
def code_of() -> Code:
    """The code of this process."""
    used = {name: version(name).partition("+")[0] for name in ("torch", "transformers", "tokenizers")}
    return Code(sources_digest(PACKAGE), **used)


def sources_digest(package: Path) -> str:
    """Digest of the Python files of a package that decide rows, by their paths in it."""
    sources = ((name, (package / name).read_text(encoding="utf-8")) for name in counted(package))
    return digest(*(part for source in sources for part in source))


def counted(package: Path) -> Iterator[str]:
    """The files that count, in order."""
    for name in sorted(path.relative_to(package).as_posix() for path in package.rglob("*.py")):
        if not any(name == left or name.startswith(f"{left}/") for left in WITHOUT_ROWS):
            yield name


def require_code(wanted: Code) -> None:
    """Raise EngineError where this process has other code than the one that planned: rows must not mix."""
    here = code_of()
    if here != wanted:
        raise EngineError(
            f"this worker has other code than the job's driver: {here} at {PACKAGE} where the driver has "
            f"{wanted}; give both one image, and submit without a --working-dir that holds nla_ray"
        )
