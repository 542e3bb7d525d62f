"""Every fault as a table: `make faults`, or `python -m tests.faults [--seeds N] [NAME]...`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from tests.faults.bench import bench
from tests.faults.catalogue import FAULTS

WIDTHS = (44, 6, 8, 6, 11, 6)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Parts of names; all faults without one.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trials of each fault.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write the table here too, as JSON lines.")] = None,
) -> None:
    """Inject, end or resume, compare with a run that nothing disturbed; ends with 1 if anything is off."""
    chosen = [one for one in FAULTS if not names or any(name in one.name for name in names)]
    print(_line("fault", "seeds", "planned", "lost", "duplicated", "wrong", "result"))
    bad = False
    with tempfile.TemporaryDirectory(prefix="nla-faults-") as folder, bench(Path(folder)) as place:
        for fault in chosen:
            began, sums, said = time.monotonic(), [0, 0, 0, 0], list[str]()
            for seed in range(seeds):
                try:
                    found, _ = fault.run(place, seed)
                except (RuntimeError, TimeoutError) as error:
                    said.append(f"seed {seed}: {error}")
                    continue
                counts = (found.planned, found.lost, found.duplicated, found.wrong)
                sums = [one + more for one, more in zip(sums, counts, strict=True)]
                said += [f"seed {seed}: {problem}" for problem in found.problems]
            good = not said and sums[1:] == [0, 0, 0]
            bad |= not good
            print(_line(fault.name, seeds, *sums, "ok" if good else "FAILED"), flush=True)
            for one in said:
                print(f"    {' '.join(one.split())[:300]}", flush=True)
            if out is not None:
                row = dict(zip(("planned", "lost", "duplicated", "wrong"), sums, strict=True))
                row |= {"fault": fault.name, "seeds": seeds, "ok": good, "said": said}
                with out.open("a") as file:
                    file.write(json.dumps(row | {"seconds": round(time.monotonic() - began, 1)}) + "\n")
    sys.exit(bad)


def _line(*values: object) -> str:
    cells = [str(value) for value in values]
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=False)) + f" {cells[-1]}"


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
