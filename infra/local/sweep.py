"""A whole sweep on this machine, with what befalls one: `python infra/local/sweep.py FOLDER`.

S3, a head, two workers, the job server and Prometheus come up; three models are swept over three corpora for
three weeks, one `ray job submit` each. A worker is killed in the first week, the driver in the second, the
last is submitted twice at once and has a planted rise in one cell. Logs and the last page are left in FOLDER;
the exit code is 0 if all went as it must, 1 if not. It needs the development tools of this project.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
import world
import yaml
from cluster import BUCKET, NODES, PORTS, ROOT, Cluster, environment_of
from servers import Local, free_ports, wait_for

from nla_ray.fleet.report.model import FleetReport

MODELS, CORPORA = ("demo", "tuned", "noisy"), (world.OWN, *world.TOPICS)
LAST_WEEK = 48
STATE = "sweeps/sweeps/local/weeks"
UNITS = "sweeps/tables/explanations/"
UNITS_S = 900.0
"""Longest wait for the first units of a job."""
FINDINGS = 5
LEAST_HITS = 0.75
MOVED = ("risen", "fallen")
METRICS = ("ray_nla_units_done", "ray_nla_vectors_total", "ray_nla_fve_nrm")


@dataclass(frozen=True)
class Job:
    """A job that was submitted; the process follows its log."""

    id: str
    process: subprocess.Popen[bytes]


@dataclass
class Story:
    """What happens to a sweep, and whether it went as it must."""

    cluster: Cluster
    weeks: Sequence[str]
    claims: dict[str, bool] = field(default_factory=dict)
    codes: dict[str, list[int | None]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def tell(self) -> None:
        """Run the weeks."""
        first, *middle, last = self.weeks
        self.claim(f"{first}: a killed worker is survived", self._week(first, self._kill_worker) == [0])
        for week in middle:
            ended = self._week(week, self._kill_driver)
            self.claim(f"{week}: the driver was killed, and the next one ends the week", ended == [None, 0])
        ended = self._twice(last)
        self.claim(f"{last}: of two at once both end with findings", ended == [FINDINGS, FINDINGS])
        before = self.cluster.keys("sweeps/")
        code, log = self._ended(last, self._submit(last))
        self.claim(f"{last}: once more, and it says that there is nothing to do", "nothing to do" in log)
        self.claim(
            f"{last}: once more, and nothing is written",
            code == FINDINGS and self.cluster.keys("sweeps/") == before,
        )
        verify = self.cluster.local.start("verify", "nla-ray", "verify", f"s3://{BUCKET}/sweeps/tables")
        self.claim("the tables are as they were written", verify.wait() == 0)

    def claim(self, what: str, holds: bool) -> None:
        """Something that must hold."""
        self.claims[what] = holds
        print(f"{'ok' if holds else 'FAILED'}: {what}", flush=True)

    def _week(self, week: str, disturb: Callable[[Job], None]) -> list[int | None]:
        """Submit a week, disturb it, submit it again while its driver does not end by itself."""
        began = time.monotonic()
        running = self._submit(week)
        disturb(running)
        while self._ended(week, running)[0] is None:
            running = self._submit(week)
        self.seconds[week] = time.monotonic() - began
        return self.codes[week]

    def _twice(self, week: str) -> list[int | None]:
        began = time.monotonic()
        for running in [self._submit(week), self._submit(week)]:
            self._ended(week, running)
        self.seconds[week] = time.monotonic() - began
        return self.codes[week]

    def _kill_worker(self, running: Job) -> None:
        self._wait_for_units(running)
        self.cluster.kill_node(NODES[1])
        print(f"{running.id}: the raylet of {NODES[1]} was killed", flush=True)
        self.cluster.join(NODES[2])

    def _kill_driver(self, running: Job) -> None:
        self._wait_for_units(running)
        os.kill(int(self.cluster.job(running.id)["driver_info"]["pid"]), signal.SIGKILL)
        print(f"{running.id}: its driver was killed", flush=True)

    def _wait_for_units(self, running: Job) -> None:
        """Return once the job has written two units."""
        there = len(self.cluster.keys(UNITS))
        wait_for(
            lambda: len(self.cluster.keys(UNITS)) >= there + 2 or running.process.poll() is not None,
            f"units of {running.id}",
            UNITS_S,
        )

    def _submit(self, week: str) -> Job:
        """Submit a week; Ray takes each id once, so the attempt is a part of it."""
        folder = self.cluster.local.folder
        submission = f"{week.lower()}-{len(list(folder.glob(f'{week.lower()}-*.log'))) + 1}"
        job = ["python", str(ROOT / "jobs" / "weekly_sweep.py"), "--config", f"s3://{BUCKET}/sweep.yaml"]
        command = [
            "ray", "job", "submit", f"--address={self.cluster.local.url('jobs')}",
            f"--submission-id={submission}", "--", *job, "--week", week,
        ]  # fmt: skip
        print(f"{submission}: submitted", flush=True)
        return Job(submission, self.cluster.local.start(submission, *command))

    def _ended(self, week: str, running: Job) -> tuple[int | None, str]:
        """The exit code of a job's driver, None where it was killed; and what it said."""
        running.process.wait()
        code = self.cluster.job(running.id)["driver_exit_code"]
        code = None if code in (None, -signal.SIGKILL, 128 + signal.SIGKILL) else int(code)
        self.codes.setdefault(week, []).append(code)
        log = (self.cluster.local.folder / f"{running.id}.log").read_text(errors="replace")
        print(f"{running.id}: ended with {'SIGKILL' if code is None else code}", flush=True)
        return code, log


def sweep_of(models: int, corpora: int) -> dict[str, Any]:
    """The configuration with so many models and corpora, of which one cell has the planted rise."""
    config: dict[str, Any] = yaml.safe_load(
        Path(__file__).with_name("sweep.yaml").read_text(encoding="utf-8")
    )
    for key, names in (("targets", MODELS[:models]), ("corpora", CORPORA[:corpora])):
        config[key] = [one for one in config[key] if one["name"] in names]
    return config


def put_world(cluster: Cluster, config: Mapping[str, Any], weeks: Sequence[str]) -> None:
    """Models, corpora and the configuration, in the bucket."""
    folder = cluster.local.folder / "world"
    world.write_models(folder / "models")
    world.write_corpora(folder / "corpora", [one["name"] for one in config["targets"]], weeks)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        cluster.put(path.relative_to(folder).as_posix(), path.read_bytes())


def cells_of(cluster: Cluster, week: str) -> Iterator[dict[str, Any]]:
    """What came of the cells of a week, as its page says."""
    report = FleetReport.model_validate_json(cluster.get(f"{STATE}/{week}/report/report.json"))
    for one in report.cells:
        result = one.result.model_dump(include={"state", "verdict", "rows", "units", "reused_units"})
        yield {"model": one.pair[0], "corpus": one.pair[1], **result, "fve": one.fve} | {
            "findings": {each.detector: [each.k, each.n] for each in one.readings if each.findings},
            "moved": [
                f"{each.detector} has {change.verdict} against {against}"
                for each in one.readings
                for against, change in (("last week", each.last), ("base", each.base))
                if change is not None and change.verdict in MOVED
            ],
        }


def judge(story: Story, cells: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """The claims about what the weeks say."""
    last = story.weeks[-1]
    for week, found in cells.items():
        loud = {(one["model"], one["corpus"]) for one in found if one["findings"] or one["moved"]}
        wanted = {world.CELL} if week == last else set()
        named = " and ".join("/".join(one) for one in sorted(wanted)) or "no cell"
        story.claim(f"{week}: {named} has findings, and all others are quiet", loud == wanted)
        story.claim(f"{week}: every cell is reportable", all(one["verdict"] == "reportable" for one in found))
        if week != story.weeks[0]:
            story.claim(
                f"{week}: at least {LEAST_HITS:.0%} of the units are reused",
                hits(found, week == last) >= LEAST_HITS,
            )
    (planted,) = (one for one in cells[last] if (one["model"], one["corpus"]) == world.CELL)
    risen = f"{world.PLANTED} has risen against last week" in planted["moved"]
    story.claim(f"{last}: the planted rise is found", list(planted["findings"]) == [world.PLANTED] and risen)


def hits(cells: Sequence[Mapping[str, Any]], planted: bool) -> float:
    """Share of the units that were reused; without the cell whose documents are new in the last week."""
    counted = [one for one in cells if not planted or (one["model"], one["corpus"]) != world.CELL]
    reused: int = sum(one["reused_units"] for one in counted)
    units: int = sum(one["units"] for one in counted)
    return reused / units


def show(cells: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """The cells by week."""
    for week, found in cells.items():
        for one in found:
            says = ", ".join(f"{name} {k}/{n}" for name, (k, n) in one["findings"].items()) or "quiet"
            cell = f"{week} {one['model']:6} {one['corpus']:10} {one['state']:5} {one['verdict']:11}"
            print(f"{cell} {one['rows']:4} rows {one['reused_units']}/{one['units']} units reused  {says}")


def main(
    folder: Annotated[Path | None, typer.Argument(help="A new folder; without it one below /tmp.")] = None,
    models: Annotated[int, typer.Option(min=2, max=len(MODELS))] = len(MODELS),
    corpora: Annotated[int, typer.Option(min=1, max=len(CORPORA))] = len(CORPORA),
    weeks: Annotated[int, typer.Option(min=2, max=12, help="In those between, the driver is killed.")] = 3,
    result: Annotated[Path | None, typer.Option(help="JSON file for what came of it.")] = None,
) -> None:
    """Run the sweep on a cluster of this machine; ends with 1 where something did not go as it must."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    place = Path(tempfile.mkdtemp(prefix="nla-")) if folder is None else folder.absolute()
    place.mkdir(parents=True, exist_ok=True)
    ports = free_ports(PORTS)
    named = [f"2026-W{week}" for week in range(LAST_WEEK - weeks + 1, LAST_WEEK + 1)]
    with Cluster(Local(place, ports, environment_of(place, ports))) as cluster:
        put_world(cluster, sweep_of(models, corpora), named)
        story = Story(cluster, named)
        story.tell()
        cells = {week: list(cells_of(cluster, week)) for week in named}
        judge(story, cells)
        show(cells)
        (place / "page.html").write_bytes(cluster.get(f"{STATE}/{named[-1]}/report/report.html"))
        for name in METRICS:
            print(f"{name}: {cluster.metric(name)}")
    if result is not None:
        said = {"codes": story.codes, "seconds": story.seconds, "claims": story.claims, "cells": cells}
        result.write_text(json.dumps({"question": "sweep"} | said, indent=2) + "\n")
    print(f"logs and the page of {named[-1]} are in {place}")
    raise typer.Exit(0 if all(story.claims.values()) else 1)


if __name__ == "__main__":
    typer.run(main)
