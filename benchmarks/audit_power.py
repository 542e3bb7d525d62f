"""What does an audit of the planted-concept world find, miss and claim wrongly, with the shipped demo pair?

    python -m benchmarks.audit_power --folder out/audit-power

Documents of seeds that nothing else uses are decoded (some ten minutes on one core; a folder that holds the
tables already is used as it is) and audited with the shipped detectors. What is planted is what a document
says; where it says so in a detector's own words, the default policy calls explanations restated. So planted
truth is held against both: all evidence (`evidence.restated: true`), and what the default policy leaves.

- recall and precision by document of every planted safety property, for real rows and for shuffled and random
  ones in their place, which must be "not distinguishable";
- findings in a corpus of benign documents alone, by level (moods are planted in them, too);
- weeks drawn from the decoded documents: how often a rise of five points in one property is flagged, and how
  often two weeks of one world alarm.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import write_result
from nla_ray.audit.documents.readings import readings
from nla_ray.audit.findings import FINDING, finding_rows
from nla_ray.audit.inference.exposure import Readings, Reads
from nla_ray.audit.tally import Population, Tally, needed
from nla_ray.audit.verdicts.compare import Week, compare
from nla_ray.audit.verdicts.rates import rate_all
from nla_ray.config.audit import AuditConfig, Evidence, Source
from nla_ray.config.decode import DecodeConfig
from nla_ray.config.detectors.packs import Packs, load_packs
from nla_ray.config.models.reference import ModelRef
from nla_ray.demo import world
from nla_ray.demo.dataset import encode
from nla_ray.demo.recipe.export import write_corpus
from nla_ray.intervals import Interval, wilson
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.pipelines.audit.run import Searched, open_source, search
from nla_ray.pipelines.decode.run import decode

MIXED, BENIGN, FULL = 91001, 91002, 91003
"""Seeds: half of the documents with a property, none of them, and few documents with controls everywhere."""
PLACES = 8
WEEK, BASE, RISE = 1000, 0.05, 0.05
"""Documents of a week, the share of each property in it, and what one of them rises by."""
ALL, DEFAULT = Evidence(restated=True), Evidence()


def main() -> None:
    """Decode what is missing, measure, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("out/audit-power"))
    parser.add_argument("--documents", type=int, default=1200, help="of the mixed corpus")
    parser.add_argument("--benign", type=int, default=500)
    parser.add_argument("--full", type=int, default=200, help="documents with controls at every place")
    parser.add_argument("--repeats", type=int, default=40, help="pairs of weeks")
    parser.add_argument("--more-repeats", type=int, default=400, help="pairs of weeks for tighter rates")
    args = parser.parse_args()
    decode_all(args.folder, {MIXED: args.documents, BENIGN: args.benign, FULL: args.full})
    packs = load_packs()
    result: dict[str, Any] = {
        "config": {name: value for name, value in vars(args).items() if name != "folder"}
        | {"places": PLACES, "week": WEEK, "base": BASE, "rise": RISE},
        "detectors": packs.fingerprint(),
    }
    for name, rule in (("all_evidence", ALL), ("default_policy", DEFAULT)):
        mixed, full, calm = (searched(args.folder, seed, packs, rule) for seed in (MIXED, FULL, BENIGN))
        pool = pool_of(mixed, packs)
        result[name] = {
            "real": found_in(mixed, packs, "real"),
            "controls": {subject: found_in(full, packs, subject) for subject in ("shuffled", "random")},
            "benign": benign(calm, packs),
            "weeks": weeks(pool, packs, args.repeats, seed=0),
            "more_weeks": weeks(pool, packs, args.more_repeats, seed=1),
        }
    write_result("audit-power", "cpu", result)


def decode_all(folder: Path, sizes: Mapping[int, int]) -> None:
    """Corpora and their tables under `folder`, one root per seed; finished ones stay."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(resolve(ModelRef.parse("demo:target")))
    for seed, n in sizes.items():
        corpus = folder / f"{seed}.jsonl"
        if not corpus.exists():
            write_corpus(corpus, encode(documents(seed, n), tokenizer))
        share = 1.0 if seed == FULL else 0.1
        config = {
            "output": str(folder / f"tables-{seed}"),
            "models": {role: f"demo:{role}" for role in ("target", "av", "ar")},
            "corpus": {
                "paths": [str(corpus)],
                "text": "text",
                "messages": "messages",
                "id": "id",
                "meta": ["truth"],
            },
            "positions": {"n": PLACES},
            "controls": {"shuffled": share, "random": share},
            "sampling": {"max_new_tokens": 96},
            "engine": {"slots": 128},
        }
        decode(DecodeConfig.model_validate(config))


def documents(seed: int, n: int) -> Iterator[world.Document]:
    """The world's documents of a seed; those of `BENIGN` have no property."""
    if seed != BENIGN:
        return world.documents(seed, n)
    return itertools.islice((one for one in world.documents(seed, 4 * n) if one.safety == world.NONE), n)


def searched(folder: Path, seed: int, packs: Packs, rule: Evidence) -> Searched:
    """The tables of a seed, with the detectors' hits counted."""
    root = str(folder / f"tables-{seed}")
    config = AuditConfig(source=Source(tables=root), output=str(folder), evidence=rule)
    return search(open_source(config.source), packs, config)


def one_tally(found: Searched) -> Tally:
    """The counts of the only run."""
    (tally,) = found.tallies.values()
    return tally


def truth_of(found: Searched) -> dict[str, str]:
    """The planted property of each document, or "none"."""
    rows = found.opened.connection.execute("SELECT DISTINCT doc_id, meta FROM explanations").fetchall()
    return {doc_id: json.loads(meta)["truth"]["safety"] for doc_id, meta in rows}


def found_in(found: Searched, packs: Packs, subject: str) -> dict[str, Any]:
    """Recall and precision of every planted property where `subject` takes the place of real rows."""
    tally, truth = one_tally(found), truth_of(found)
    rated = {one.detector: one for one in rate_all(tally, packs.detectors, DEFAULT, subject=subject)}
    population = tally.populations[subject]
    scores: dict[str, dict[str, Any]] = {}
    met = {}
    for name in world.safety_properties():
        detector = next(one for one in packs.detectors if one.id == name)
        meets = tally.hits_of(name, subject).strength >= needed(detector)
        met[name] = {str(doc_id) for doc_id in population.doc_ids[meets]}
        have = {doc_id for doc_id, value in truth.items() if value == name} & set(population.doc_ids.tolist())
        strong = tally.hits_of(name, subject).strength >= max(needed(detector), rated[name].strength)
        above = rated[name].verdict == "above controls"
        shown = {str(doc_id) for doc_id in population.doc_ids[strong]} if above else set()
        right = len(shown & have)
        scores[name] = {
            "verdict": rated[name].verdict, "documents_with_it": len(have),
            "documents_that_meet_the_rule": len(met[name]), "least_strength": rated[name].strength,
            "findings": len(shown), "right": right,
            "recall": share(right, len(have)), "precision": share(right, len(shown)),
        }  # fmt: skip
    means = {
        measure: float(np.mean([score[measure]["value"] or 0.0 for score in scores.values()]))
        for measure in ("recall", "precision")
    }
    others = {
        name: one.verdict
        for name, one in rated.items()
        if name not in scores and one.verdict == "above controls"
    }
    return {"properties": scores, "mean": means, "other_detectors_above_controls": others}


def share(k: int, n: int) -> dict[str, Any]:
    """A share with its interval."""
    low, high = wilson(k, n) if n else Interval(0.0, 1.0)
    return {"value": k / n if n else None, "low": low, "high": high}


def benign(found: Searched, packs: Packs) -> dict[str, Any]:
    """Findings by detector in documents without a property; moods are planted in them too."""
    tally = one_tally(found)
    rated = rate_all(tally, packs.detectors, DEFAULT)
    rows = finding_rows(found.opened.connection, tally, packs.detectors, rated, "benign", reportable=True)
    found_rows = [row for row in rows if row["status"] == FINDING]
    return {
        "documents": len(tally.populations["real"]),
        "findings_by_level": dict(Counter(row["level"] for row in found_rows)),
        "findings_by_detector": dict(Counter(row["detector"] for row in found_rows)),
    }


@dataclass(frozen=True)
class Pool:
    """Decoded documents of which weeks are drawn."""

    tally: Tally
    readings: Readings
    truth: Mapping[str, str]

    def week(self, shares: Mapping[str, float], rng: np.random.Generator) -> Week:
        """`WEEK` documents drawn with replacement: each with its property's share, the rest without any."""
        values = np.array([self.truth[doc_id] for doc_id in self.readings.doc_ids.tolist()])
        names = [*shares, world.NONE]
        chances = [*shares.values(), 1 - sum(shares.values())]
        wanted = rng.choice(len(names), WEEK, p=chances)
        drawn = np.concatenate(
            [
                rng.choice(np.flatnonzero(values == name), int((wanted == at).sum()))
                for at, name in enumerate(names)
            ]
        )
        ids = np.array([f"{rng.integers(1 << 62):016x}-{at}" for at in range(WEEK)])
        real = self.tally.populations["real"]
        population = Population(ids, real.places[drawn], real.rows[drawn], real.fve[drawn])
        nothing = np.full(WEEK, "")
        found = Readings(ids, np.arange(WEEK), nothing, nothing, *self._rows(drawn))
        return Week("week", dataclasses.replace(self.tally, populations={"real": population}), found)

    def _rows(self, drawn: np.ndarray) -> tuple[dict[str, Reads], dict[str, np.ndarray]]:
        """The rows of drawn documents, in their order, by detector."""
        reads, hits = {}, {}
        for name, one in self.readings.reads.items():
            first = np.searchsorted(one.document, drawn)
            sizes = np.searchsorted(one.document, drawn, side="right") - first
            owner = np.repeat(np.arange(len(drawn)), sizes)
            rows = (
                np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(first, sizes)
            )
            moved = (np.diff(owner, prepend=-1) != 0) | (np.diff(one.place[rows], prepend=-1) != 0)
            reads[name] = Reads(owner, np.cumsum(moved) - 1, len(drawn))
            hits[name] = np.flatnonzero(np.isin(rows, self.readings.hits.get(name, [])))
        return reads, hits


def pool_of(found: Searched, packs: Packs) -> Pool:
    """The decoded documents of the only run."""
    tally = one_tally(found)
    rows = readings(found.opened.connection, tally, packs.detectors, "real")
    return Pool(tally, rows, truth_of(found))


def weeks(pool: Pool, packs: Packs, repeats: int, seed: int) -> dict[str, Any]:
    """How often a rise is flagged, and how often two weeks of one world alarm."""
    names = world.safety_properties()
    level = dict.fromkeys(names, BASE)
    seen = wrong = alarms = 0
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        rising = names[repeat % len(names)]
        before, after = pool.week(level, rng), pool.week(level | {rising: BASE + RISE}, rng)
        verdicts = changes(before, after, packs)
        seen += verdicts[rising] == "risen"
        wrong += any(verdict in ("risen", "fallen") for name, verdict in verdicts.items() if name != rising)
        null = changes(pool.week(level, rng), pool.week(level, rng), packs)
        alarms += any(verdict in ("risen", "fallen") for verdict in null.values())
    return {
        "repeats": repeats, "documents_per_week": WEEK, "detectors": len(packs.detectors),
        "power": share(seen, repeats), "false_alarms": share(alarms, repeats),
        "another_detector_flagged_beside_the_rise": share(wrong, repeats),
    }  # fmt: skip


def changes(before: Week, after: Week, packs: Packs) -> dict[str, str]:
    """The verdict on each detector."""
    found = compare(before, after, packs.detectors, DEFAULT, drift=1.0, states={})
    return {change.detector: change.verdict for change in found.changes}


if __name__ == "__main__":
    main()
