"""Half an hour of random faults, several at once: `python -m tests.faults.soak [--minutes N]`."""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from tests.faults.bench import Bench, Trial, bench, documents
from tests.faults.jobs import Job
from tests.faults.judge import Verdict, judge
from tests.runtime.processes import WORKER, family
from tests.store.faults import Request

DOCUMENTS = 100
ANSWERS = ("InternalError", "SlowDown", "silent", "reset", "lost", "cut", "short", "flip:77", "ExpiredToken")
WAIT_S = (2.0, 12.0)
SPELL_S = 4.0
"""So long requests go wrong, one in ten, once it begins."""

PATIENCE = 200
"""Runs of the command for one decode, at most."""


@dataclass
class Chaos:
    """What goes wrong while a decode runs, again and again until it is stopped."""

    rng: random.Random
    happened: Counter[str] = field(default_factory=Counter)
    answer: str | None = None
    job: Job | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def seen(self, _: Request) -> str | None:
        """The fault of a request."""
        answer = self.answer
        return answer if answer is not None and self.rng.random() < 0.1 else None

    def run(self) -> None:
        """One thing after the other."""
        while not self.over.wait(self.rng.uniform(*WAIT_S)):
            what = self.rng.choice(("driver", "actor", "answers", "answers"))
            self.happened[what] += 1
            if what == "answers":
                self.answer = self.rng.choice(ANSWERS)
                self.over.wait(SPELL_S)
                self.answer = None
            elif self.job is not None and self.job.process.is_alive():
                below = [one.pid for one in family(self.job.pid) if one.title().startswith(WORKER)]
                victims = below if what == "actor" else [self.job.pid]
                for pid in self.rng.sample(victims, min(1, len(victims))):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


def disturbed(place: Bench, chaos: Chaos, number: int, corpus: bytes) -> tuple[Trial, Counter[int]]:
    """A decode that is begun again until it ends well; how often with which exit code."""
    trial, codes = place.trial("ray", number), Counter[int]()
    trial.read(corpus)
    with trial.watched(chaos.seen):
        for _ in range(PATIENCE):
            chaos.job = trial.start()
            codes[trial.end(chaos.job)] += 1
            if trial.codes[-1] == 0:
                return trial, codes
    raise RuntimeError(f"never ended well: {codes}: {trial.said[-500:]}")


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="New decodes begin until then.")] = 30,
    seed: Annotated[int, typer.Option(help="Of what happens when.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the result here too, as JSON.")] = None,
) -> None:
    """Decode on Ray and S3 while drivers and actors are killed and S3 misbehaves; then count rows."""
    until, sums, codes, runs = time.monotonic() + 60 * minutes, Verdict(0, 0, 0, 0), Counter[int](), 0
    chaos = Chaos(random.Random(seed))
    with tempfile.TemporaryDirectory(prefix="nla-soak-") as folder, bench(Path(folder)) as place:
        corpus = documents(DOCUMENTS)
        calm = place.calm_with(corpus)
        thread = threading.Thread(target=chaos.run)
        thread.start()
        try:
            while time.monotonic() < until:
                trial, ended = disturbed(place, chaos, runs, corpus)
                found, runs, codes = judge(trial.tables, calm), runs + 1, codes + ended
                sums = Verdict(
                    *(getattr(sums, name) + getattr(found, name) for name in COUNTS),
                    (*sums.problems, *found.problems),
                )
        finally:
            chaos.over.set()
            thread.join()
    result = {
        "minutes": minutes,
        "decodes": runs,
        "exit_codes": dict(codes),
        "happened": dict(chaos.happened),
    }
    line = json.dumps(result | asdict(sums), indent=1)
    print(line)
    if out is not None:
        out.write_text(line + "\n")
    raise SystemExit(not sums.good)


COUNTS = ("planned", "lost", "duplicated", "wrong")

if __name__ == "__main__":
    typer.run(main)
