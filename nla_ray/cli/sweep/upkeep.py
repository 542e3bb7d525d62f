"""`nla-ray sweep abandon | gc | compact`: keep the tables of sweeps, or any others, in order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nla_ray.errors import NoFileError
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.config.sweep import Retention
    from nla_ray.store.places.objects import Store

WEEK_DAYS = 7

Tables = Annotated[
    str,
    typer.Argument(
        metavar="TABLES", help="Folder or s3://bucket/prefix; or a sweep, its configuration or ROOT#NAME."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def abandon_command(
    tables: Tables,
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="A run that is not committed.")],
    because: Annotated[str, typer.Option("--because", help="The reason, kept with it.")] = "",
    as_json: Json = False,
) -> None:
    """Give up a run that is not committed: the same recipe is then begun anew, and gc takes its files."""
    from nla_ray.store.upkeep.ended import abandon

    store, _ = opened(tables)
    ending = abandon(store, run_id, because)
    if as_json:
        typer.echo(ending.model_dump_json())
    else:
        typer.echo(printable(f"run {run_id} is abandoned since {ending.at}: {ending.because}"))


def gc_command(
    tables: Tables,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only listed.")] = False,
    days: Annotated[float, typer.Option("--days", min=0, help="Spare what is younger.")] = 1.0,
    weeks: Annotated[
        int | None, typer.Option("--superseded-weeks", min=0, help="Superseded runs that are as old.")
    ] = None,
    stale: Annotated[
        int | None, typer.Option("--abandon-days", min=1, help="Abandon runs that stood still for so long.")
    ] = None,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Units of runs under way that are not as written; reads all.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what nobody reads any more, with its size, and remove it with --yes.

    Of a sweep, its retention says how old superseded and unfinished runs must be, where no option does.
    """
    from nla_ray.store.upkeep.collect import Rules, garbage, remove

    store, keep = opened(tables)
    weeks = keep.weeks if weeks is None and keep is not None else weeks
    stale = keep.abandoned_days if stale is None and keep is not None else stale
    rules = Rules(
        days=days,
        superseded_days=None if weeks is None else weeks * WEEK_DAYS,
        stale_days=stale,
        damaged=damaged,
    )
    found = garbage(store, rules)
    if yes:
        found = remove(store, found)
    gone = [one for one in found if not (yes and one.kind == "stale")]
    size = sum(one.bytes for one in gone)
    if as_json:
        typer.echo(json.dumps({"removed": yes, "bytes": size, "objects": [asdict(one) for one in found]}))
        return
    _print(f"{one.kind:<10} {one.bytes:>13,} {one.key}: {one.detail}" for one in found)
    does = "removed" if yes else "found; remove with --yes"
    given_up = f"; runs abandoned: {len(found) - len(gone)}" if len(gone) < len(found) else ""
    typer.echo(f"{len(gone)} objects, {size:,} bytes {does}{given_up}")


def compact_command(
    tables: Tables,
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN_ID]...", help="Only these runs; else all.")
    ] = None,
    target_mb: Annotated[
        int, typer.Option("--target-mb", min=1, max=1024, help="Least size of a full file; most is twice.")
    ] = 128,
    as_json: Json = False,
) -> None:
    """Merge each committed run's files into few large ones of the same rows; gc takes them after 15 days."""
    from nla_ray.store.upkeep.compact import compact, compactable

    store, _ = opened(tables)
    made = [compact(store, run_id, full=target_mb << 20) for run_id in run_ids or compactable(store)]
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in made]))
        return
    _print(
        f"{one.run_id}: {one.bytes_after:,} bytes in {one.files_after} files, before in {one.files_before}"
        for one in made
    )
    typer.echo(f"{len(made)} runs are compacted" if made else "there is nothing to compact")


def opened(text: str) -> tuple[Store, Retention | None]:
    """The tables that are meant, and of a sweep what it keeps.

    Raises NoFileError where there are none, InputError, ConfigError.
    """
    from nla_ray.store.runs.layout import RESERVED

    store, keep = _named(text)
    if RESERVED.isdisjoint(store.folders("")):
        raise NoFileError(f"{store.url}: holds no tables; name the folder that runs write their tables to")
    return store, keep


def _named(text: str) -> tuple[Store, Retention | None]:
    from nla_ray.store.places.address import open_store

    root, separator, _ = text.rpartition("#")
    if not (Path(text).is_file() or (separator and not Path(text).exists())):
        return open_store(text), None
    from nla_ray.cli.sweep.named import configured
    from nla_ray.fleet.layout import TABLES

    config, _ = configured(text, None)
    return open_store(f"{(root if separator else config.root).rstrip('/')}/{TABLES}"), config.retention


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(printable(line))
