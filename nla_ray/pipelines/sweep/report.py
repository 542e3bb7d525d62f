"""The fleet's page of a week, from the results of its cells, their audits and earlier weeks."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import ValidationError

from nla_ray import __version__
from nla_ray.config.detectors.levels import GRAVEST_FIRST
from nla_ray.errors import InputError, UnreachableError
from nla_ray.fleet.layout import week_prefix
from nla_ray.fleet.report.differing import changed_values
from nla_ray.fleet.report.exits import STATES, exit_of
from nla_ray.fleet.report.model import Changed, Excerpt, FleetCell, FleetReport, Reading
from nla_ray.fleet.report.sums import by_model, sentence, summed
from nla_ray.fleet.report.trends import trends
from nla_ray.fleet.report.write import FOLDER, write_files
from nla_ray.fleet.results import CellResult, get_week, results_of, weeks_of
from nla_ray.pipelines.sweep.judging import Pair, judged
from nla_ray.pipelines.sweep.reading import Read, detectors_of, read_cell
from nla_ray.store import open_store
from nla_ray.store.places.objects import Store

MOST_WEEKS = 12
"""Weeks that trends reach back, this one included."""
MOST_EXCERPTS = 200


@dataclass(frozen=True)
class Past:
    """An earlier week."""

    week: str
    cells: tuple[FleetCell, ...]


def write_fleet_report(
    root: str, sweep: str, week: str, *, q: float, currency: str | None = None
) -> FleetReport:
    """Build the page of a week and write it to the week's folder `report`, replacing the one there.

    `q` is the highest false discovery rate of each family of tests. A result or a report that cannot be read
    is told on the page. Raises InputError where the week was not begun, or the place fails.
    """
    report = build_fleet_report(open_store(root), sweep, week, q=q, currency=currency)
    write_files(root, report)
    return report


def build_fleet_report(
    store: Store, sweep: str, week: str, *, q: float, currency: str | None = None
) -> FleetReport:
    """The page of a week as data; it depends on what the store holds alone."""
    unread: list[str] = []
    results = results_of(store, sweep, week)
    past = tuple(_past(store, sweep, week, q, unread))
    read = store.map(lambda one: _read(store, one), results)
    cells, families = judged([one.cell for one in read], _newest(past), q)
    detectors = detectors_of(read)
    code = exit_of(cells)
    return FleetReport(
        version=__version__,
        sweep=sweep,
        week=week,
        last_week=past[-1].week if past else None,
        state=STATES[code],
        exit=code,
        sentence=sentence(cells, detectors),
        q=q,
        families=families,
        detectors=detectors,
        cells=cells,
        excerpts=tuple(_excerpts(cells, read)),
        trends=trends([(one.week, one.cells) for one in past] + [(week, cells)], detectors),
        weeks=tuple(summed(one.week, one.cells) for one in (*past, Past(week, cells))),
        models=by_model(cells),
        changed=() if not past else _changed(store, sweep, past[-1].week, week, unread),
        unread=tuple(unread),
        currency=currency,
        links=dict(_links(results, week_prefix(sweep, week) + FOLDER)),
    )


def _read(store: Store, result: CellResult) -> Read:
    """What a cell's audits say; a report that cannot be read fails its cell alone."""
    try:
        return read_cell(store, result)
    except UnreachableError:
        raise
    except InputError as error:
        update = {"state": "failed", "reason": str(error), "exit": error.exit_code}
        return Read(FleetCell(result=result.model_copy(update=update)))


def _past(store: Store, sweep: str, week: str, q: float, unread: list[str]) -> Iterator[Past]:
    """Earlier weeks, the oldest first: as their own pages say, else from their audits.

    What cannot be read is left out and told in `unread`.
    """
    earlier = [one for one in weeks_of(store, sweep) if one < week]
    for one in earlier[1 - MOST_WEEKS :]:
        try:
            yield Past(one, told_before(store, sweep, one) or _told_by_audits(store, sweep, one, q, unread))
        except UnreachableError:
            raise
        except InputError as error:
            unread.append(f"{one} is left out: {error}")


def _told_by_audits(
    store: Store, sweep: str, week: str, q: float, unread: list[str]
) -> tuple[FleetCell, ...]:
    """The cells of a week without a page."""
    results = results_of(store, sweep, week)
    read = [one.cell for one in store.map(lambda result: _read(store, result), results)]
    damaged = [
        cell
        for cell, result in zip(read, results, strict=True)
        if cell.result.state == "failed" and result.state == "done"
    ]
    unread += [f"{week}, {cell.name}, is left out: {cell.result.reason}" for cell in damaged]
    return judged(read, {}, q)[0]


def told_before(store: Store, sweep: str, week: str) -> tuple[FleetCell, ...] | None:
    """The cells of a week as its page says; None where there is no page, or it is another version's."""
    try:
        data = store.get(f"{week_prefix(sweep, week)}{FOLDER}/report.json")
        return FleetReport.model_validate_json(data).cells
    except (FileNotFoundError, ValidationError):
        return None


def _newest(past: Sequence[Past]) -> dict[Pair, FleetCell]:
    """The newest earlier reading of each cell."""
    return {cell.pair: cell for one in past for cell in one.cells if cell.speaks}


def _excerpts(cells: Sequence[FleetCell], read: Sequence[Read]) -> Iterator[Excerpt]:
    """Texts of what holds over the sweep and of what is gone: the gravest first, as many of each."""
    shown = [
        (_weight(one, reading, cell), one.excerpts[reading.detector])
        for cell, one in zip(cells, read, strict=True)
        for reading in cell.readings
        if (reading.findings or reading.standing == "gone") and reading.detector in one.excerpts
    ]
    of_each = max(1, MOST_EXCERPTS // max(1, len(shown)))
    for _, excerpts in sorted(shown, key=lambda one: one[0])[:MOST_EXCERPTS]:
        yield from excerpts[:of_each]


def _weight(read: Read, reading: Reading, cell: FleetCell) -> tuple[object, ...]:
    level = next(one.level for one in read.detectors if one.id == reading.detector)
    return reading.standing != "new", GRAVEST_FIRST.index(level), reading.detector, cell.pair


def _changed(store: Store, sweep: str, before: str, after: str, unread: list[str]) -> tuple[Changed, ...]:
    now = get_week(store, sweep, after)
    try:
        was = get_week(store, sweep, before)
    except UnreachableError:
        raise
    except InputError as error:
        unread.append(f"what changed since {before}: {error}")
        return ()
    return () if was is None or now is None else changed_values(was.config, now.config)


def _links(results: Sequence[CellResult], place: str) -> Iterator[tuple[str, str]]:
    """Paths of the audits' pages, relative to the folder of this one; keys that lead elsewhere have none."""
    for one in results:
        for folder in (one.report, one.base_report):
            if folder is not None and _inside(folder):
                yield folder, quote(posixpath.relpath(f"{folder}/report.html", place))


def _inside(key: str) -> bool:
    """Whether a key lies under the root."""
    return posixpath.normpath(key) == key and not key.startswith((".", "/"))
