"""Sittings: verdicts as they are said, each kept at once, and committed to the table `reviews` at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from nla_ray.audit.review.draw import Item
from nla_ray.audit.review.labels import Label
from nla_ray.errors import InputError
from nla_ray.store import connect, open_run
from nla_ray.store.catalog.index import known_runs
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import COMMITS, REVIEWS, events_key, events_prefix, is_state, run_of
from nla_ray.store.runs.plan import Plan, get_plan, planned_runs
from nla_ray.store.upkeep.ended import ended_runs
from nla_ray.tables import SCHEMAS, table_of
from nla_ray.text import storable

UNIT = "said"

Row = dict[str, Any]


class Sitting:
    """What one reviewer says of a sample until they stop; what is said is kept, whatever happens then."""

    def __init__(self, store: Store, review_id: str, reviewer: str, items: Mapping[str, Item]) -> None:
        """Commits what broken-off sittings of the sample left. Raises InputError for a nameless reviewer."""
        if not reviewer.strip():
            raise InputError("reviewer: a verdict is somebody's; give a name")
        self.items, self.reviewer, self._store = items, storable(reviewer.strip()), store
        self._review_id, self._plan, self._rows = review_id, _plan(review_id, self.reviewer), list[Row]()
        self.taken_up = take_up(store, review_id)
        """Verdicts of broken-off sittings that were committed now."""
        self.said = {
            row["hit"]: row
            for row in verdicts(store)
            if row["review_id"] == review_id and row["reviewer"].casefold() == self.reviewer.casefold()
        }
        """The reviewer's last word on each item, as rows of the table."""

    def say(self, label: Label) -> None:
        """Keep a verdict. Raises InputError for what is not in the sample, and where the store fails."""
        item = self.items.get(label.hit)
        if item is None:
            raise InputError(f"hit {label.hit[:40]!r}: is not in the sample of this review; nothing was kept")
        if not self._rows:
            open_run(self._store, self._plan)
        row = {name: value for name, value in asdict(item).items() if name != "text"} | {
            "review_id": self._review_id, "verdict": label.verdict, "note": storable(label.note),
            "reviewer": self.reviewer, "said_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        }  # fmt: skip
        key = events_key(self._plan.run_id, f"{len(self._rows):06}")
        self._store.put_new(key, json.dumps(row, sort_keys=True).encode())
        self._rows.append(row)
        self.said[label.hit] = row

    def close(self) -> int:
        """Commit what was said, and return how many verdicts that are; the table shows them from then on."""
        rows = self._rows
        if rows and not _commit(self._store, self._plan, rows):
            # Somebody took this for a broken-off sitting while it went on.
            self._plan = _plan(self._review_id, self.reviewer)
            open_run(self._store, self._plan)
            _commit(self._store, self._plan, rows)
        self._plan, self._rows = _plan(self._review_id, self.reviewer), []
        return len(rows)


def take_up(store: Store, review_id: str) -> int:
    """Commit what sittings of a sample left that were broken off; how many verdicts that are."""
    committed = {run_of(key) for key in store.keys(COMMITS) if is_state(key)}
    left = 0
    for run_id in set(planned_runs(store)) - committed - ended_runs(store).keys():
        plan = get_plan(store, run_id)
        if plan is not None and plan.table == REVIEWS and plan.facts.get("review_id") == review_id:
            rows = list(_journal(store, run_id))
            if rows and _commit(store, plan, rows):
                left += len(rows)
    return left


def verdicts(store: Store) -> list[Row]:
    """The last word of each reviewer on each item that is committed at a place, of all samples.

    Raises InputError where a file is not as it was written.
    """
    ended = ended_runs(store)
    runs = [one.run_id for one in known_runs(store).entries if one.table_name == REVIEWS]
    runs = [one for one in runs if one not in ended]
    if not runs:
        return []
    found = connect(store.url, runs=runs).sql("FROM reviews ORDER BY hit, reviewer")
    names = found.columns
    return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def _plan(review_id: str, reviewer: str) -> Plan:
    return Plan(
        run_id=uuid4().hex, table=REVIEWS, units={UNIT: None},
        facts={"review_id": review_id, "reviewer": reviewer},
    )  # fmt: skip


def _journal(store: Store, run_id: str) -> Iterator[Row]:
    for key in store.keys(events_prefix(run_id)):
        try:
            row = json.loads(store.get(key))
        except ValueError:
            raise InputError(f"{store.url}/{key}: is no verdict; remove it, or restore it") from None
        yield row


def _commit(store: Store, plan: Plan, rows: list[Row]) -> bool:
    """Commit a sitting; False where its rows were written before, perhaps with fewer verdicts."""
    run = open_run(store, plan)
    first = bool(run.missing())
    table = table_of(({"run_id": plan.run_id, "unit_id": UNIT} | row for row in rows), SCHEMAS[REVIEWS])
    written = [run.write(UNIT, table, planned=len(rows))] if first else []
    run.commit({"finished_at": rows[-1]["said_at"]}, written)
    return first
