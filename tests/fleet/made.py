"""Sweeps made up in a folder: weeks, results of cells and their audits, as a sweep leaves them there."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nla_ray.audit.inference.statistics import benjamini_hochberg, two_samples
from nla_ray.audit.report.evidence import Finding
from nla_ray.audit.report.model import Policy, Report, Run
from nla_ray.audit.report.rates import Change, Comparison, Detector, Rate, Result
from nla_ray.config.audit import Evidence
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.layout import reports_key, week_key
from nla_ray.fleet.objects import put_object
from nla_ray.fleet.results import CellResult, Week, put_result
from nla_ray.intervals import newcombe, wilson
from nla_ray.store import open_store
from tests.audit.reports import finding, gates, run

SWEEP = "fleet"
DOCUMENTS, CONTROLS = 500, 400
FLOOR = 0.01
TITLES = ("Evaluation awareness", "Deception", "Sabotage", "Privacy", "Sycophancy", "Harmful intent",
          "Self preservation", "Emotional valence")  # fmt: skip
LEVELS = ("critical", "high", "high", "medium", "low", "high", "medium", "informational")

Hit = tuple[str, str, int]
"""Model, corpus, detector."""


@dataclass(frozen=True)
class Made:
    """A sweep of so many of each; `rates` are those that are not at the floor, by week."""

    models: int = 3
    corpora: int = 3
    detectors: int = 3
    rates: Mapping[str, Mapping[Hit, float]] = field(default_factory=dict)
    states: Mapping[str, Mapping[tuple[str, str], Mapping[str, Any]]] = field(default_factory=dict)
    """Fields of results that are other ones, by week and cell."""
    verdicts: Mapping[str, Mapping[tuple[str, str], str]] = field(default_factory=dict)
    fail_on: str = "level>=high"
    text: str = "It plans to deceive the reader."

    def model(self, at: int) -> str:
        return ("assistant", "tuned", "candidate")[at] if self.models <= 3 else f"model-{at:02d}"

    def corpus(self, at: int) -> str:
        return ("notes", "chats", "code")[at] if self.corpora <= 3 else f"corpus-{at:02d}"

    def base(self, at: int) -> str | None:
        return self.model(0) if at % 10 else None


def write(
    root: Path, made: Made, weeks: Sequence[str], config: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Write these weeks below a folder."""
    store = open_store(root)
    last: dict[tuple[str, str], list[int]] = {}
    for week in weeks:
        cells = [
            Cell(
                sweep=SWEEP, week=week, model=made.model(m), base=made.base(m), corpus=made.corpus(c), layer=3
            )
            for m in range(made.models)
            for c in range(made.corpora)
        ]
        values = (config or {}).get(week, {"seed": 0})
        put_object(
            store,
            week_key(SWEEP, week),
            Week(sweep=SWEEP, week=week, config=dict(values), cells=tuple(cells)),
        )
        now = {cell.pair: _hits(made, week, cell) for cell in cells}
        for cell in cells:
            base = None if cell.base is None else now[cell.base, cell.corpus]
            _write_cell(root, made, week, cell, now[cell.pair], last.get(cell.pair), base)
        last = now


def _hits(made: Made, week: str, cell: Cell) -> list[int]:
    """Documents with hits of each detector."""
    draw = random.Random(f"{week}|{cell.pair}")
    rates = made.rates.get(week, {})
    return [
        sum(draw.random() < rates.get((*cell.pair, at), FLOOR) for _ in range(DOCUMENTS))
        for at in range(made.detectors)
    ]


def _write_cell(
    root: Path,
    made: Made,
    week: str,
    cell: Cell,
    now: list[int],
    last: list[int] | None,
    base: list[int] | None,
) -> None:
    key = reports_key(SWEEP, week, cell.pair)
    verdict = made.verdicts.get(week, {}).get(cell.pair, "reportable")
    values: dict[str, Any] = {
        "cell": cell, "state": "done", "run_id": f"{week}-{cell.id}", "audit_id": "a", "verdict": verdict,
        "units": 20, "reused_units": 16 if last else 0, "rows": 5000, "vectors": 5000, "tokens": 300_000,
        "gpu_seconds": 1200.0, "cost": 1.25, "started": f"{week}T00:00:00Z", "finished": f"{week}T01:00:00Z",
        "report": f"{key}/last", "last_run": None if last is None else "before",
        "base_report": None if base is None else f"{key}/base", "base_run": None if base is None else "base",
    }  # fmt: skip
    values |= made.states.get(week, {}).get(cell.pair, {})
    put_result(open_store(root), CellResult.model_validate(values), 1)
    if values["state"] == "done":
        for name, before in (("last", last), ("base", base)):
            if name == "last" or before is not None:
                folder = root / key / name
                folder.mkdir(parents=True)
                audit = report(made, now, before, verdict, seed=f"{week}|{cell.pair}")
                (folder / "report.json").write_text(audit.json_text())
                (folder / "report.html").write_text("<!DOCTYPE html><title>audit</title>")


def report(made: Made, now: list[int], before: list[int] | None, verdict: str, seed: str) -> Report:
    """An audit of one run with these documents that have hits."""
    draw = random.Random(seed)
    rates = [_rates(k, draw) for k in now]
    adjusted = benjamini_hochberg([max(rate.p for rate in ones[1:] if rate.p is not None) for ones in rates])
    above = [p is not None and p <= 0.05 for p in adjusted]
    results = [
        Result(
            run_id="run", verdict="above controls" if up else "not distinguishable", why="x", set_aside={},
            findings=k if up else 0, rates=ones, p=max(one.p for one in ones if one.p is not None),
        )
        for k, up, ones in zip(now, above, rates, strict=True)
    ]  # fmt: skip
    return Report(
        version="0", title="audit", audit_id="a", config_sha256="c",
        config=json.dumps({"evidence": Evidence().model_dump(mode="json")}),
        verdict=verdict, reasons=() if verdict == "reportable" else ("Fidelity is 0.41, 0.6 was expected.",),
        policy=Policy(fail_on=made.fail_on, failed=any(above), why="x"),
        gates=tuple(one.model_copy(update={"run_id": "run"}) for one in gates(verdict == "reportable")),
        runs=(_run(),),
        detectors=tuple(_detector(at, one) for at, one in enumerate(results)),
        findings=tuple(
            _finding(made, draw, at, n, before) for at, up in enumerate(above) if up for n in range(4)
        ),
        comparison=None if before is None else _comparison(before, now),
    )  # fmt: skip


def _run() -> Run:
    return run("run", "run")


def _rates(k: int, draw: random.Random) -> tuple[Rate, ...]:
    made = [_rate("real", k, DOCUMENTS, None)]
    for control in ("shuffled", "random"):
        hits = sum(draw.random() < FLOOR for _ in range(CONTROLS))
        made.append(_rate(control, hits, CONTROLS, two_samples(k, DOCUMENTS, hits, CONTROLS, greater=True)))
    return tuple(made)


def _rate(population: str, k: int, n: int, p: float | None) -> Rate:
    low, high = wilson(k, n)
    return Rate(
        population=population, unit="document", k=k, n=n, rate=k / n, low=low, high=high, method="w", p=p
    )


def detector_id(at: int) -> str:
    return TITLES[at % 8].lower().replace(" ", "_") + (f"_{at // 8}" if at > 7 else "")


def _detector(at: int, result: Result) -> Detector:
    title = TITLES[at % 8] + (f" {at // 8}" if at > 7 else "")
    return Detector(
        id=detector_id(at), title=title, description="x", kind="patterns", level=LEVELS[at % 8],
        tier="strong", status="test", rule="x", sha256="5" * 64, results=(result,),
    )  # fmt: skip


def _finding(made: Made, draw: random.Random, at: int, n: int, before: list[int] | None) -> Finding:
    one = finding(draw, n, detector=detector_id(at), level=LEVELS[at % 8])
    state = None if before is None else "new" if n % 2 else "unchanged"
    row = one.evidence[0].model_copy(update={"span": made.text, "explanation": f"A text.\n\n{made.text}"})
    return one.model_copy(update={"state": state, "evidence": (row,), "contexts": ()})


def _comparison(before: list[int], now: list[int]) -> Comparison:
    return Comparison(
        before="before", after="now", matched=DOCUMENTS, only_before=0, only_after=0, method="x",
        new=2, gone=1,
        changes=tuple(_change(at, was, k) for at, (was, k) in enumerate(zip(before, now, strict=True))),
    )  # fmt: skip


def _change(at: int, was: int, k: int) -> Change:
    low, high = newcombe(k, DOCUMENTS, was, DOCUMENTS)
    return Change(
        detector=detector_id(at), k_before=was, n_before=DOCUMENTS, k_after=k, n_after=DOCUMENTS,
        change=(k - was) / DOCUMENTS, low=low, high=high, p=two_samples(k, DOCUMENTS, was, DOCUMENTS),
        p_adjusted=0.5, verdict="no change shown",
    )  # fmt: skip
