"""How often do two weeks without a difference alarm, as whole audits of committed tables?

    python -m benchmarks.audit_null_store --repeats 20

The cases of two weeks of `audit_null`, with 200 documents each, written through the store and audited with a
pack of 22 detectors: text in, report out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks._common import write_result
from benchmarks.audit_null import AGAIN, DETECTORS, WEEKS, Documents, World
from nla_ray.config.audit import AuditConfig
from nla_ray.intervals import wilson
from nla_ray.pipelines.audit.run import audit
from nla_ray.store import open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import EXPLANATIONS, table_of
from nla_ray.text import normalise

DOCUMENTS = 200
WORDS = [f"marvel{chr(97 + at)}" for at in range(DETECTORS)]


def main() -> None:
    """Audit every case and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", default="", help="cases whose name has this")
    args = parser.parse_args()
    cases = []
    for number, (name, pair) in enumerate(WEEKS.items()):
        for again in (False, True) if name in AGAIN else (False,):
            if args.only in name:
                seeds = ([number, repeat] for repeat in range(args.repeats))
                k = sum(alarms(pair, np.random.default_rng(seed), again=again) for seed in seeds)
                low, high = wilson(k, args.repeats)
                case = f"{name}{', paired' if again else ''}"
                cases.append({"case": case, "k": k, "n": args.repeats, "low": low, "high": high})
                print(cases[-1], flush=True)
    write_result("audit-null-store", "cpu", {"config": {"documents": DOCUMENTS}, "cases": cases})


def alarms(pair: tuple[World, World], rng: np.random.Generator, *, again: bool) -> bool:
    """Whether the audit of the second week, compared with the first, calls any rate risen or fallen."""
    documents = pair[0].documents(rng, n=DOCUMENTS)
    others = documents if again else pair[1].documents(rng, first=DOCUMENTS, n=DOCUMENTS)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, world, of in (("before", pair[0], documents), ("after", pair[1], others)):
            write(root / name, name, world, of, rng)
        (root / "pack.yaml").write_text(yaml.safe_dump(pack()))
        values: dict[str, Any] = {
            "source": {"tables": str(root / "after")},
            "before": {"tables": str(root / "before")},
            "output": str(root / "report"),
            "packs": [str(root / "pack.yaml")],
            "units": {"family": "family"} | ({} if pair[0].prone is None else {"stratum": "part"}),
        }
        found = audit(AuditConfig.model_validate(values)).report.comparison
    return found is not None and any(one.verdict in ("risen", "fallen") for one in found.changes)


def pack() -> dict[str, Any]:
    """Detectors of a word each."""
    fixed = {"title": "t", "description": "d", "level": "high", "tier": "strong"}
    detectors = [{"id": word, "detection": {"groups": {"words": {"any": [word]}}}} | fixed for word in WORDS]
    return {"id": "null", "title": "Null", "description": "Words.", "detectors": detectors}


def write(root: Path, run_id: str, world: World, of: Documents, rng: np.random.Generator) -> None:
    """Commit a week; a tenth of its positions has controls, of a fidelity that rows pass or do not."""
    rows = []
    for at, name in enumerate(of.names.tolist()):
        about = json.dumps({"family": str(of.family[at]), "part": str(of.part[at])})
        for place in range(int(rng.integers(world.places[0], world.places[1] + 1))):
            for sample in range(world.samples):
                chance = np.where(of.has[at], world.read, world.habit)
                fve = 0.9 if rng.random() < world.passing else 0.1
                rows.append(
                    _row(run_id, name, place, "real", sample, fve, rng.random(DETECTORS) < chance, about)
                )
            for control in ("shuffled", "random"):
                if rng.random() < 0.1:
                    said = rng.random(DETECTORS) < world.habit
                    rows.append(_row(run_id, name, place, control, 0, 0.2, said, about))
    table = table_of(rows, EXPLANATIONS)
    facts: dict[str, Any] = {"seed": 0, "layer": 3, "models": {"target": "t", "av": "a", "ar": "r"}}
    run = open_run(open_store(root), Plan(run_id=run_id, units={"u": table.num_rows}, facts=facts))
    run.write("u", table)
    run.commit({"baseline": {"value": 0.8, "reference": "synthetic"}})


def _row(
    run_id: str, doc: str, place: int, control: str, sample: int, fve: float, said: np.ndarray, meta: str
) -> dict[str, Any]:
    text = " ".join(["It is about a garden.", *(f"It has {WORDS[at]}." for at in np.flatnonzero(said))])
    return dict.fromkeys(EXPLANATIONS.names) | {
        "run_id": run_id, "unit_id": "u", "row_id": f"{doc}-{place}-{control}", "doc_id": doc,
        "position": place + 10, "token": "word", "role": "assistant", "control": control, "sample": sample,
        "seed": 0, "layer": 3, "outcome": "ok", "flags": [], "explanation": text,
        "explanation_norm": normalise(text), "closed": True, "fve_nrm": fve, "meta": meta,
        "provenance": "decoded",
    }  # fmt: skip


if __name__ == "__main__":
    main()
