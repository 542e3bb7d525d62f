"""Fleet reports made up as data: a small one, one with a text in every place, a large one."""

from __future__ import annotations

import random
from typing import Any

from nla_ray.fleet.cells import Cell
from nla_ray.fleet.report.model import (
    Change,
    Changed,
    Detector,
    Excerpt,
    Family,
    FleetCell,
    FleetReport,
    Gate,
    Point,
    Reading,
    Trend,
)
from nla_ray.fleet.report.sums import by_model, summed
from nla_ray.fleet.report.trends import trends
from nla_ray.fleet.results import CellResult
from nla_ray.intervals import wilson

WEEKS = ("2026-W46", "2026-W47", "2026-W48")
LEVELS = ("critical", "high", "medium")


def detector(at: int) -> Detector:
    """One of any number of detectors."""
    return Detector(id=f"detector_{at}", title=f"Detector {at}", level=LEVELS[at % 3], tier="strong")


def reading(at: int = 0, rate: float = 0.01, **changes: Any) -> Reading:
    """A quiet reading of a detector, with another rate and other fields."""
    k = round(500 * rate)
    low, high = wilson(k, 500)
    values = {
        "detector": f"detector_{at}", "k": k, "n": 500, "rate": k / 500, "low": low, "high": high,
        "beside": 0.011, "p": 0.6, "p_adjusted": 0.9, "alone": "not distinguishable",
        "verdict": "not distinguishable", "last": change(0.0), "base": change(0.001),
    }  # fmt: skip
    return Reading.model_validate(values | changes)


def found(at: int = 0, rate: float = 0.15, **changes: Any) -> Reading:
    """A reading above its controls with findings that count."""
    values = {
        "p": 1e-9, "p_adjusted": 1e-7, "alone": "above controls", "verdict": "above controls",
        "findings": round(500 * rate), "counted": True, "standing": "still",
    }  # fmt: skip
    return reading(at, rate, **(values | changes))


def change(by: float, verdict: str = "no change shown") -> Change:
    """A change of a rate."""
    return Change(
        k_before=100, n_before=500, k_after=100 + round(500 * by), n_after=500, change=by, low=by - 0.02,
        high=by + 0.02, p=0.3, p_adjusted=0.001 if verdict in ("risen", "fallen") else 0.8, verdict=verdict,
    )  # fmt: skip


def cell(model: str, corpus: str, *readings: Reading, base: str | None = None, **changes: Any) -> FleetCell:
    """A cell that was read; `changes` replace fields of its result."""
    values: dict[str, Any] = {
        "cell": Cell(sweep="fleet", week=WEEKS[-1], model=model, base=base, corpus=corpus, layer=3),
        "state": "done", "verdict": "reportable", "run_id": "r" * 32, "audit_id": "a" * 32, "units": 20,
        "reused_units": 16, "vectors": 5000, "tokens": 300_000, "gpu_seconds": 1200.0, "cost": 1.25,
        "report": f"sweeps/fleet/weeks/{WEEKS[-1]}/reports/{model}/{corpus}/last",
        "base_report": base and f"sweeps/fleet/weeks/{WEEKS[-1]}/reports/{model}/{corpus}/base",
    }  # fmt: skip
    gate = Gate(title="Fidelity", value=0.88, relation=">=", threshold=0.6, unit="fve", passed=True)
    return FleetCell(
        result=CellResult.model_validate(values | changes), gates=(gate,) * 5, documents=500, fve=0.88,
        new=2, gone=1, drifted=False, readings=readings,
    )  # fmt: skip


def report(*cells: FleetCell, detectors: int = 3, **changes: Any) -> FleetReport:
    """A report of these cells."""
    known = tuple(detector(at) for at in range(detectors))
    weeks = [(week, cells) for week in WEEKS]
    tests = sum(len(one.readings) for one in cells)
    values: dict[str, Any] = {
        "version": "0", "sweep": "fleet", "week": WEEKS[-1], "last_week": WEEKS[-2], "state": "quiet",
        "exit": 0,
        "sentence": "All is well.", "q": 0.05, "detectors": known, "cells": cells,
        "families": tuple(
            Family(against=name, tests=tests, significant=2)
            for name in ("controls", "last week", "base model")
        ),
        "weeks": tuple(summed(week, cells) for week in WEEKS), "models": by_model(cells), "currency": "USD",
        "trends": trends(weeks, known),
        "links": {
            key: f"../reports/{key.split('/', 5)[-1]}/report.html"
            for one in cells for key in (one.result.report, one.result.base_report) if key
        },
    }  # fmt: skip
    return FleetReport.model_validate(values | changes)


def example(**changes: Any) -> FleetReport:
    """Three models on two corpora: something of every kind."""
    risen = found(0, standing="new", last=change(0.14, "risen"), base=change(0.14, "risen"))
    gone = reading(1, standing="gone", last=change(-0.1, "fallen"))
    silent = {"state": "missing", "exit": 7, "reason": "s3://b/notes: no such file", "report": None}
    failing = cell("tuned", "chats", reading(0), base="assistant", verdict="not reportable")
    gate = failing.gates[0].model_copy(update={"value": 0.41, "passed": False})
    cells = (
        cell("assistant", "notes", reading(0), reading(1), reading(2)),
        cell("assistant", "chats", found(0), reading(1), reading(2, verdict="insufficient evidence")),
        cell("tuned", "notes", risen, gone, reading(2, base=change(-0.1, "fallen")), base="assistant"),
        failing.model_copy(update={"reasons": ("Fidelity is 0.41.",), "gates": (gate,)}),
        cell("candidate", "notes", base="assistant", **silent),
        cell("candidate", "chats", found(2, counted=False), base="assistant"),
    )
    return report(*cells, **({"excerpts": (excerpt(),), "changed": (_changed(),)} | changes))


def excerpt(text: str = "It plans to deceive.", **changes: Any) -> Excerpt:
    """The text of a finding."""
    values = {
        "model": "tuned", "corpus": "notes", "detector": "detector_0", "doc_id": "doc-1", "state": "new",
        "before": "A text. ", "span": text, "after": " The end.", "position": 7, "fve_nrm": 0.8,
        "positions_hit": 3, "positions_read": 10,
    }  # fmt: skip
    return Excerpt.model_validate(values | changes)


def _changed() -> Changed:
    return Changed(key="targets.tuned.target", before='"a"', after='"b"')


def everywhere(text: str) -> FleetReport:
    """A report in which every free text is this one."""
    made = example(sentence=text, sweep=text, week=WEEKS[-1], state=text)
    cells = []
    for one in made.cells:
        own = one.result.cell.model_copy(update={"base": one.result.cell.base and text, "sweep": text})
        reason = {"cell": own, "reason": one.result.reason and text, "same_run_as": text}
        cells.append(
            one.model_copy(
                update={
                    "result": one.result.model_copy(update=reason),
                    "reasons": tuple(text for _ in one.reasons),
                    "gates": tuple(gate.model_copy(update={"title": text}) for gate in one.gates),
                }
            )
        )
    shown = excerpt(text, doc_id=text, before=text, after=text)
    names = tuple(one.model_copy(update={"title": text}) for one in made.detectors)
    changes = {"cells": tuple(cells), "excerpts": (shown,), "detectors": names, "currency": text}
    return made.model_copy(update=changes | {"changed": (Changed(key=text, before=text, after=text),)})


def large(models: int = 50, corpora: int = 20, detectors: int = 30) -> FleetReport:
    """As many cells and detectors as a fleet has; in a hundred readings something is there."""
    draw = random.Random(0)
    drawn = [[_drawn(draw, at) for at in range(detectors)] for _ in range(23)]
    cells = tuple(
        cell(
            f"model-{m:02d}", f"corpus-{c:02d}", *drawn[(m * corpora + c) % len(drawn)],
            base="model-00" if m else None,
        )
        for m in range(models)
        for c in range(corpora)
    )  # fmt: skip
    texts = tuple(
        excerpt("x" * 60, model=one.pair[0], corpus=one.pair[1], before="b" * 600, after="a" * 600)
        for one in cells[:200]
    )
    line = tuple(
        Point(week=f"2026-W{at}", rate=0.01, low=0.0, high=0.02, above=False) for at in range(37, 49)
    )
    trend = Trend(model="model-00", corpus="corpus-00", detector="detector_0", points=line)
    weeks = tuple(summed(point.week, cells) for point in line)
    return report(*cells, detectors=detectors, excerpts=texts, trends=(trend,) * 48, weeks=weeks)


def _drawn(draw: random.Random, at: int) -> Reading:
    if draw.random() < 0.01:
        return found(at, draw.uniform(0.05, 0.6), standing="new", last=change(0.1, "risen"))
    return reading(at, draw.uniform(0, 0.03))
