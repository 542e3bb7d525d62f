"""How often do whole audits of committed tables alarm where there is nothing?

    python -m benchmarks.audit_null_store --repeats 20

The cases of `audit_null`, with 200 documents each, written through the store and audited with a pack of 22
detectors: text in, report out. Two weeks without a difference; habits of all reads, controls alike; prompts
that say the words themselves; and what is everywhere, where `k` counts audits that are right of every
detector.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks._common import write_result
from benchmarks.audit_null import AGAIN, DETECTORS, EVERYWHERE, WEEKS, Case, Documents, World, known, share
from nla_ray.audit.report.model import Report
from nla_ray.config.audit import AuditConfig
from nla_ray.pipelines.audit.run import audit
from nla_ray.store import open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import DOCUMENTS as TEXTS
from nla_ray.tables import EXPLANATIONS, table_of
from nla_ray.text import normalise

DOCUMENTS, PLACES = 200, 25
WORDS = [f"marvel{chr(97 + at)}" for at in range(DETECTORS)]


def main() -> None:
    """Audit every case and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="cases whose name has this; the others' results stay")
    args = parser.parse_args()
    every = cases()
    found = {name: one for name, one in known("store").items() if name in every}
    for number, (name, case) in enumerate(every.items()):
        if args.only in name:
            found[name] = {"case": name, **share(case, number, args.repeats)}
            told = [found[name] for name in every if name in found]
            config = {"documents": DOCUMENTS, "detectors": DETECTORS}
            write_result("audit-null", "cpu", {"config": config, "cases": told}, label="store")


def cases() -> dict[str, Case]:
    """All cases by name."""
    found: dict[str, Case] = {}
    for name, pair in WEEKS.items():
        found[name] = partial(weeks, pair, again=False)
        if name in AGAIN:
            found[f"{name}, paired"] = partial(weeks, pair, again=True)
    for habit in (0.03, 0.15, 0.3):
        said = World(habit=habit)
        for floor, told in (
            (None, "controls alike"),
            (0.95, "5 % of the controls' above the floor"),
        ):
            found[f"habit of {habit:.0%} of reads, {told}"] = partial(above, said, floor=floor)
    found["habit of 3 %, 11 prompts say it"] = partial(above, World(habit=0.03), floor=0.95, restated=11)
    for name, (rate, right) in EVERYWHERE.items():
        found[name] = partial(everywhere, World(rate=rate), right)
    return found


@dataclass(frozen=True)
class Written:
    """A run to be written: its world, its documents, and how many prompts say every detector's word."""

    world: World
    of: Documents
    controls: float
    """Of the controls' rows that mention a word."""
    restated: int = 0


def weeks(pair: tuple[World, World], rng: np.random.Generator, *, again: bool) -> bool:
    """Whether the audit of the second week, compared with the first, calls any rate risen or fallen."""
    documents = pair[0].documents(rng, n=DOCUMENTS)
    others = documents if again else pair[1].documents(rng, first=DOCUMENTS, n=DOCUMENTS)
    runs = {
        name: Written(world, of, world.habit)
        for name, world, of in (("before", pair[0], documents), ("after", pair[1], others))
    }
    found = audited(runs, rng, None if pair[0].prone is None else "part").comparison
    return found is not None and any(one.verdict in ("risen", "fallen") for one in found.changes)


def above(world: World, rng: np.random.Generator, *, floor: float | None, restated: int = 0) -> bool:
    """Whether a habit of all reads, of controls too, is called above its controls by any detector."""
    written = Written(world, world.documents(rng, n=DOCUMENTS), world.habit, restated)
    return "above controls" in verdicts(audited({"after": written}, rng, floor=floor))


def everywhere(world: World, right: Sequence[str], rng: np.random.Generator) -> bool:
    """Whether every detector gives a right verdict on what so many documents have, and no control."""
    written = Written(world, world.documents(rng, n=DOCUMENTS), 0.0)
    return verdicts(audited({"after": written}, rng)) <= set(right)


def verdicts(report: Report) -> set[str]:
    """All verdicts that detectors have."""
    return {result.verdict for one in report.detectors for result in one.results}


def audited(
    runs: dict[str, Written],
    rng: np.random.Generator,
    stratum: str | None = None,
    floor: float | None = 0.95,
) -> Report:
    """The report on the run `after`, beside `before` where there is one."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, written in runs.items():
            write(root / name, name, written, rng)
        (root / "pack.yaml").write_text(yaml.safe_dump(pack()))
        values: dict[str, Any] = {
            "source": {"tables": str(root / "after")},
            "before": {"tables": str(root / "before")} if "before" in runs else None,
            "output": str(root / "report"),
            "packs": [str(root / "pack.yaml")],
            "units": {"family": "family", "stratum": stratum},
            "evidence": {"beyond_controls": floor},
        }
        return audit(AuditConfig.model_validate(values)).report


def pack() -> dict[str, Any]:
    """Detectors of a word each."""
    fixed = {"title": "t", "description": "d", "level": "high", "tier": "strong"}
    detectors = [{"id": word, "detection": {"groups": {"words": {"any": [word]}}}} | fixed for word in WORDS]
    return {"id": "null", "title": "Null", "description": "Words.", "detectors": detectors}


def write(root: Path, run_id: str, written: Written, rng: np.random.Generator) -> None:
    """Commit a week with its texts; a tenth of its positions has controls, a twentieth of these fits best."""
    table = table_of(_rows(run_id, written, rng), EXPLANATIONS)
    facts: dict[str, Any] = {"seed": 0, "layer": 3, "models": {"target": "t", "av": "a", "ar": "r"}}
    plan = Plan(run_id=run_id, units={"u": table.num_rows}, sides=("documents",), facts=facts)
    run = open_run(open_store(root), plan)
    texts = [_text(run_id, name, at < written.restated) for at, name in enumerate(written.of.names.tolist())]
    run.write("u", table, sides={"documents": table_of(texts, TEXTS)})
    run.commit({"baseline": {"value": 0.8, "reference": "synthetic"}})


def _rows(run_id: str, written: Written, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    world, of = written.world, written.of
    for at, name in enumerate(of.names.tolist()):
        meta = json.dumps({"family": str(of.family[at]), "part": str(of.part[at])})
        row = partial(_row, run_id=run_id, doc_id=name, meta=meta)
        chance = np.where(of.has[at], world.read, 1.0 if at < written.restated else world.habit)
        for place in range(int(rng.integers(world.places[0], world.places[1] + 1))):
            for sample in range(world.samples):
                fve = 0.9 if rng.random() < world.passing else 0.1
                yield row(rng.random(DETECTORS) < chance, place=place, sample=sample, fve_nrm=fve)
            for control in ("shuffled", "random"):
                if rng.random() < 0.1:
                    said, fve = rng.random(DETECTORS) < written.controls, 0.3 * rng.random()
                    yield row(said, place=place, control=control, fve_nrm=fve)


def _row(
    said: np.ndarray, *, doc_id: str, place: int, control: str = "real", sample: int = 0, **more: object
) -> dict[str, Any]:
    text = _sentences(said)
    return dict.fromkeys(EXPLANATIONS.names) | {
        "unit_id": "u", "row_id": f"{doc_id}-{place}-{control}", "doc_id": doc_id, "position": place,
        "token": "word", "role": "assistant", "control": control, "sample": sample, "seed": 0, "layer": 3,
        "outcome": "ok", "flags": [], "explanation": text, "explanation_norm": normalise(text),
        "closed": True, "provenance": "decoded",
    } | more  # fmt: skip


def _sentences(said: np.ndarray) -> str:
    return " ".join(["It is about a garden.", *(f"It has {WORDS[at]}." for at in np.flatnonzero(said))])


def _text(run_id: str, doc_id: str, restated: bool) -> dict[str, Any]:
    """A document: a prompt, and the places that are read, of one letter each."""
    said = _sentences(np.full(DETECTORS, restated))
    ends = [len(said), *range(len(said) + 1, len(said) + PLACES)]
    return dict.fromkeys(TEXTS.names) | {
        "run_id": run_id, "unit_id": "u", "doc_id": doc_id, "source": "corpus.jsonl:1",
        "text": said + "x" * (PLACES - 1), "token_ends": ends,
        "roles": ["user", *["assistant"] * (PLACES - 1)], "n_tokens": len(ends), "truncated": False,
        "left_out_before": 0, "left_out_after": 0, "flags": [],
    }  # fmt: skip


if __name__ == "__main__":
    main()
