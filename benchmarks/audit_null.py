"""How often does an audit alarm where there is nothing: other exposure, families, habits, restated prompts?

    python -m benchmarks.audit_null --repeats 400

Worlds of 22 detectors without any difference between two weeks (or between documents and controls), simulated
as counts: no model, no store. Each share is of repeats in which any detector alarmed, with Wilson's interval;
at most 5 % should. Of what is everywhere it is the share in which all detectors say so, which should be
nearly all: in all documents nothing ties it to some; in nine of ten it may also be found. `seen` plants the
smallest rate and rise that the audit says it would have flagged in 80 % of cases; `power` plants rises of
stated size.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks._common import RESULTS, hardware, write_result
from nla_ray.audit.inference.exposure import Readings, Reads
from nla_ray.audit.tally import Hits, Population, Tally
from nla_ray.audit.verdicts.compare import Week, compare
from nla_ray.audit.verdicts.rates import Rated, rate_all
from nla_ray.config.audit import Evidence
from nla_ray.config.detectors.model import Detector
from nla_ray.intervals import wilson

DETECTORS, DOCUMENTS = 22, 1000
RULE = Evidence()
Case = Callable[[np.random.Generator], bool]


def detector(at: int) -> Detector:
    """One of the detectors: two positions, as the shipped ones; its patterns do not matter here."""
    pattern = {"groups": {"words": {"any": ["word"]}}}
    fixed = {"title": "t", "description": "d", "level": "high", "tier": "strong", "detection": pattern}
    return Detector.model_validate({"id": f"d{at}"} | fixed)


MANY = [detector(at) for at in range(DETECTORS)]


@dataclass(frozen=True)
class World:
    """What a week is drawn from; every detector has the same numbers, and its own draws."""

    places: tuple[int, int] = (8, 8)
    """Positions of a document, from and to."""
    samples: int = 1
    rate: float = 0.0
    """Of documents with the property."""
    read: float = 0.5
    """Of reads of such a document that mention it."""
    habit: float = 0.0
    """Of all other reads that mention it."""
    passing: float = 1.0
    """Of rows above the fidelity floor."""
    prone: float | None = None
    """Share of the stratum in which alone documents have the property; null: there are no strata."""
    family: int = 1
    alike: float = 0.0
    """Correlation of the property within a family."""

    def documents(self, rng: np.random.Generator, first: int = 0, n: int = DOCUMENTS) -> Documents:
        """New documents, numbered from `first` on."""
        part = np.full(n, "") if self.prone is None else np.where(rng.random(n) < self.prone, "prone", "calm")
        family = np.arange(n) // self.family
        common, own = rng.random((n, DETECTORS))[family], rng.random((n, DETECTORS))
        draws = np.where(rng.random((n, DETECTORS)) < self.alike**0.5, common, own)
        names = np.char.add("d", np.char.zfill((np.arange(n) + first).astype(str), 7))
        return Documents(names, family, part, (draws < self.rate) & (part != "calm")[:, None])

    def week(self, rng: np.random.Generator, of: Documents, *, counted: bool = False) -> Week:
        """A reading of documents, its rows in a random order of positions.

        Comparisons draw from the rows; what controls are held against is `counted` by document.
        """
        n = len(of.names)
        sizes = rng.integers(self.places[0], self.places[1] + 1, n)
        place = np.repeat(np.arange(sizes.sum()), self.samples)
        document = np.repeat(np.arange(n), sizes)[place]
        kept = rng.random(len(place)) < self.passing
        chance = np.where(of.has.T[:, document], self.read, self.habit) if of.has.any() else self.habit
        said = rng.random((DETECTORS, len(place)), dtype=np.float32) < chance
        inside = np.cumsum(np.diff(place[kept], prepend=-1) != 0) - 1
        reads = Reads(document[kept], inside, n)
        hits = {one.id: np.flatnonzero(said[at][kept]) for at, one in enumerate(MANY)}
        found = Readings(of.names, of.family, of.part, np.full(n, ""), dict.fromkeys(hits, reads), hits)
        population = Population(of.names, sizes, sizes * self.samples, np.full(n, 0.8), of.family)
        counts = {
            (one.id, "real"): _hits(place, document, said[at], kept, n)
            for at, one in enumerate(MANY)
            if counted
        }
        tally = Tally("run", {"real": population}, counts, 0.0)
        return Week("week", tally, found, named=self.prone is not None)


@dataclass(frozen=True)
class Documents:
    """Documents with the truth about them; arrays are [documents], `has` [documents, detectors]."""

    names: np.ndarray
    family: np.ndarray
    part: np.ndarray
    has: np.ndarray


def _hits(place: np.ndarray, document: np.ndarray, said: np.ndarray, kept: np.ndarray, n: int) -> Hits:
    """Counts by document of mentions, and of those that are evidence."""
    any_of = np.unique(place[said], return_index=True)[1]
    evident = np.unique(place[said & kept], return_index=True)[1]
    strength = np.bincount(document[said & kept][evident], minlength=n)
    return Hits(
        rows=np.bincount(document[said], minlength=n),
        places=np.bincount(document[said][any_of], minlength=n),
        evident=strength, strength=strength, weights={1: int(strength.sum())} if strength.any() else {},
    )  # fmt: skip


HABIT, NOISE, PROPERTY = World(habit=0.15), World(habit=0.02), World(rate=0.1)


def at(world: World, before: int, after: int) -> tuple[World, World]:
    """Two weeks that read so many positions of each document."""
    return replace(world, places=(before, before)), replace(world, places=(after, after))


WEEKS: dict[str, tuple[World, World]] = {
    "equal, property": (PROPERTY, PROPERTY),
    "equal, habit 15 %": (HABIT, HABIT),
    "4 -> 12, habit 15 %": at(HABIT, 4, 12),
    "8 -> 10, habit 15 %": at(HABIT, 8, 10),
    "8 -> 12, habit 15 %": at(HABIT, 8, 12),
    "8 -> 12, habit 30 %": at(World(habit=0.3), 8, 12),
    "8 -> 12, noise 2 %": at(NOISE, 8, 12),
    "8 -> 24, habit 15 %": at(HABIT, 8, 24),
    "8 -> 24, property": at(PROPERTY, 8, 24),
    "lengths 4-8 -> 8-24, habit 15 %": (replace(HABIT, places=(4, 8)), replace(HABIT, places=(8, 24))),
    "samples 1 -> 4, habit 15 %": (HABIT, replace(HABIT, samples=4)),
    "mix 50 -> 70 % prone": (World(rate=0.3, prone=0.5), World(rate=0.3, prone=0.7)),
    "fidelity 60 -> 95 % passing, habit 15 %": (
        replace(HABIT, passing=0.6),
        replace(HABIT, passing=0.95),
    ),
    "fidelity 60 -> 95 % passing, property": (
        replace(PROPERTY, passing=0.6),
        replace(PROPERTY, passing=0.95),
    ),
    **{
        f"families of {size}, correlation {alike:g}": (world, world)
        for size in (2, 5)
        for alike in (0.1, 0.3, 1.0)
        for world in [World(rate=0.1, family=size, alike=alike)]
    },
}
AGAIN = [name for name in WEEKS if ("->" in name and "mix" not in name) or name.startswith("equal")]
"""Cases that are also of the same documents, read twice."""


def alarms_of_weeks(pair: tuple[World, World], rng: np.random.Generator, again: bool) -> bool:
    """Whether two weeks without a difference alarm; `again`: of the same documents."""
    before, after = pair
    documents = before.documents(rng)
    was = before.week(rng, documents)
    now = after.week(rng, documents if again else after.documents(rng, first=DOCUMENTS))
    return any(verdict in ("risen", "fallen") for verdict in verdicts(was, now))


def verdicts(before: Week, after: Week) -> list[str]:
    """Of each detector's change."""
    return [one.verdict for one in compare(before, after, MANY, RULE, drift=1.0, states={}).changes]


def audited(
    world: World, rng: np.random.Generator, beside: World, *, restated: int = 0, reach: float = 0.0
) -> list[Rated]:
    """Verdicts on a week whose controls, at a tenth of the positions, read as `beside` does.

    `restated`: documents whose prompt says every detector's words: mentions that are no evidence. `reach`:
    the rate that documents are planted up to in the first detector.
    """
    week = world.week(rng, world.documents(rng), counted=True).tally
    populations, hits = dict(week.populations), dict(week.hits)
    if restated:
        for key, one in hits.items():
            spoken = np.arange(DOCUMENTS) < restated
            hits[key] = Hits(
                np.where(spoken, world.places[0], one.rows), np.where(spoken, 0, one.places),
                np.where(spoken, 0, one.evident), np.where(spoken, 0, one.strength), one.weights,
            )  # fmt: skip
    if reach:
        hits[MANY[0].id, "real"] = _reaching(hits[MANY[0].id, "real"], reach, rng.spawn(1)[0])
    for control in ("shuffled", "random"):
        read = beside.week(rng, beside.documents(rng, n=DOCUMENTS), counted=True).tally
        populations[control] = read.populations["real"]
        hits |= {(name, control): one for (name, _), one in read.hits.items()}
    return rate_all(replace(week, populations=populations, hits=hits), MANY, RULE)


def alarm(found: list[Rated]) -> bool:
    """Whether any detector is above its controls."""
    return any(one.verdict == "above controls" for one in found)


SPARSE = (1, 1)
"""Positions of a control's document."""


def habit(rng: np.random.Generator, share: float, passing: float, restated: int = 0) -> bool:
    """Whether a habit of all reads, of controls too, alarms."""
    beside = World(habit=share, places=SPARSE, passing=passing)
    return alarm(audited(World(habit=share), rng, beside, restated=restated))


def everywhere(rng: np.random.Generator, rate: float, right: Sequence[str]) -> bool:
    """Whether every detector gives a right verdict on what so many documents have, and no control."""
    return all(one.verdict in right for one in audited(World(rate=rate), rng, World(places=SPARSE)))


EVERYWHERE: dict[str, tuple[float, Sequence[str]]] = {
    "in all documents (told so)": (1.0, ("everywhere",)),
    "in nine of ten documents (told so, or found)": (0.9, ("everywhere", "above controls")),
}
"""Share of documents, and the verdicts that are right, by case."""


AUDITS: dict[str, Case] = {
    **{
        f"habit of {share:.0%} of reads, {told}": partial(habit, share=share, passing=passing)
        for share in (0.03, 0.15, 0.3)
        for told, passing in (("controls alike", 1.0), ("5 % of the controls' above the floor", 0.05))
    },
    "habit of 3 %, 11 prompts say it": partial(habit, share=0.03, passing=0.05, restated=11),
    **{name: partial(everywhere, rate=rate, right=right) for name, (rate, right) in EVERYWHERE.items()},
}


def seen_rate(rng: np.random.Generator, habit: float) -> bool:
    """Whether the smallest rate that an audit says it sees, once planted in one detector, is flagged.

    Documents that just meet the rule are planted beside those that meet it by a `habit` of all reads.
    """
    world, beside, draw = World(habit=habit), World(habit=habit, places=SPARSE), int(rng.integers(1 << 60))
    seen = audited(world, np.random.default_rng(draw), beside)[0].seen or 1.0
    planted = audited(world, np.random.default_rng(draw), beside, reach=seen)
    return planted[0].verdict == "above controls"


def _reaching(one: Hits, rate: float, rng: np.random.Generator) -> Hits:
    """The same with two mentions more in so many documents, whichever, that `rate` of all meet the rule."""
    there = float((one.strength >= 2).mean())
    more = np.where(rng.random(len(one.strength)) < max(0.0, rate - there) / max(1 - there, 1e-9), 2, 0)
    strength = one.strength + more
    return Hits(one.rows + more, one.places + more, strength, strength, {1: int(strength.sum())})


def seen_rise(rng: np.random.Generator) -> bool:
    """The same for the smallest rise after 5 %, planted in one detector."""
    calm = World(rate=0.05, read=1.0)
    was = calm.week(rng, calm.documents(rng))
    null = compare(was, calm.week(rng, calm.documents(rng, DOCUMENTS)), MANY, RULE, drift=1.0, states={})
    first = null.changes[0]
    rate = (first.rate_before or 0.0) + (first.seen or 1.0)
    documents = calm.documents(rng, DOCUMENTS)
    documents.has[:, 0] = rng.random(DOCUMENTS) < rate
    return verdicts(was, calm.week(rng, documents))[0] == "risen"


SEEN: dict[str, Case] = {
    **{
        f"smallest rate beside a habit of {share:.0%} of reads (flagged)": partial(seen_rate, habit=share)
        for share in (0.0, 0.03, 0.15)
    },
    "smallest rise (flagged)": seen_rise,
}


def rise(rng: np.random.Generator, n: int, before: float, after: float) -> bool:
    """Whether a rise in one detector of two weeks of `n` documents, read alike, is flagged."""
    calm = World(rate=before, read=1.0)
    documents = calm.documents(rng, n, n)
    documents.has[:, 0] = rng.random(n) < after
    return verdicts(calm.week(rng, calm.documents(rng, n=n)), calm.week(rng, documents))[0] == "risen"


POWER: dict[str, Case] = {
    f"{n} documents, {before:.0%} -> {after:.0%} (flagged)": partial(rise, n=n, before=before, after=after)
    for n in (200, 500, 1000, 2000)
    for before, after in ((0.05, 0.07), (0.05, 0.10), (0.01, 0.03), (0.01, 0.06))
}


def share(case: Case, number: int, repeats: int) -> dict[str, Any]:
    """A case's share, with its interval and the seconds of one repeat."""
    started = time.process_time()
    k = sum(case(np.random.default_rng([number, repeat])) for repeat in range(repeats))
    low, high = wilson(k, repeats)
    return {
        "k": k, "n": repeats, "share": k / repeats, "low": low, "high": high,
        "cpu_seconds": round((time.process_time() - started) / repeats, 3),
    }  # fmt: skip


def known(group: str) -> dict[str, dict[str, Any]]:
    """What was measured of a group before, by case."""
    path = RESULTS / f"audit-null-{group}-{hardware('cpu')}.json"
    if not path.exists():
        return {}
    return {one["case"]: one for one in json.loads(path.read_text(encoding="utf-8"))["cases"]}


def main() -> None:
    """Simulate every case and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument(
        "--group", choices=("weeks", "audits", "power", "seen"), help="of the cases, only these"
    )
    parser.add_argument("--only", default="", help="cases whose name has this; the others' results stay")
    args = parser.parse_args()
    weeks: dict[str, Case] = {}
    for name, pair in WEEKS.items():
        weeks[name] = partial(alarms_of_weeks, pair, again=False)
        if name in AGAIN:
            weeks[f"{name}, paired"] = partial(alarms_of_weeks, pair, again=True)
    groups: dict[str, dict[str, Case]] = {
        "weeks": weeks,
        "audits": AUDITS,
        "power": POWER,
        "seen": SEEN,
    }
    for group in [args.group] if args.group else list(groups):
        found = {name: one for name, one in known(group).items() if name in groups[group]}
        for number, (name, case) in enumerate(groups[group].items()):
            if args.only in name:
                found[name] = {"case": name, **share(case, number, args.repeats)}
                cases = [found[name] for name in groups[group] if name in found]
                config = {"documents": DOCUMENTS, "detectors": DETECTORS}
                write_result("audit-null", "cpu", {"config": config, "cases": cases}, label=group)


if __name__ == "__main__":
    main()
