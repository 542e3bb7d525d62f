"""`nla-ray review`: people judge what detectors found, and precision and recall follow from what they say."""

from __future__ import annotations

from collections.abc import Mapping
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nla_ray.cli.output import stoppable
from nla_ray.cli.settings import local_file, settings_of
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.audit.review.draw import Item
    from nla_ray.pipelines.review.sample import Review
    from nla_ray.pipelines.review.sittings import Sitting

EACH, MOST = 60, 10_000
"""Hits of each detector: some will be unclear, and `VALIDATED` are needed. Labels may be of more."""

EXAMPLES = """
nla-ray review jobs/audit_demo.yaml --reviewer Ann           asks in the terminal: t, f, u

nla-ray review jobs/audit_demo.yaml --reviewer Ann --page    the same as a local page

nla-ray review jobs/audit_demo.yaml --sheet sheet.csv        a sheet to judge elsewhere

nla-ray review jobs/audit_demo.yaml --labels sheet.csv       what was judged there

nla-ray review jobs/audit_demo.yaml --results                precision, recall, agreement, pack blocks
"""


def review_command(
    config: Annotated[
        str, typer.Argument(metavar="AUDIT", help="Configuration of the audit: YAML, local or s3://.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="As for nla-ray audit.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("-r", "--reviewer", help="Who judges; without it, your user's name.")
    ] = None,
    detectors: Annotated[
        list[str] | None, typer.Option("-d", "--detector", help="Ask about this one alone; may be repeated.")
    ] = None,
    each: Annotated[int, typer.Option(min=1, max=MOST, help="Hits of each detector that are drawn.")] = EACH,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample; another one is another sample.")] = 0,
    page: Annotated[bool, typer.Option("--page", help="Judge on a page of this machine.")] = False,
    sheet: Annotated[str | None, typer.Option("--sheet", help="Write the sample to this CSV file.")] = None,
    labels: Annotated[str | None, typer.Option("--labels", help="Read verdicts from this CSV file.")] = None,
    results: Annotated[bool, typer.Option("--results", help="Print what was said so far.")] = False,
) -> None:
    """Judge explanations, blind to what the detector says of them and to what was injected."""
    from nla_ray.cli.review.output import print_results
    from nla_ray.config.audit import AuditConfig
    from nla_ray.errors import ConfigError
    from nla_ray.pipelines.review.sample import draw_sample, open_review

    if sum((page, results, sheet is not None, labels is not None)) > 1:
        raise ConfigError("--page, --sheet, --labels and --results: each is a way of its own; give one")
    settings = settings_of(AuditConfig, config, overrides)
    console = Console()
    review = open_review(settings, detectors or (), seed=seed)
    if not results:
        with console.status("") as status:
            items = draw_sample(review, each if labels is None else MOST, status.update)
        if sheet is not None:
            _write_sheet(items, review.claims, local_file("--sheet", sheet), reviewer or "")
            console.print(printable(f"{len(items)} explanations to judge in {sheet}"), markup=False)
            return
        if labels is not None:
            _read_labels(review, items, labels, console)
        else:
            _sit(review, items, reviewer or getuser(), console, page=page)
    print_results(review, console, blocks=results)


def _sit(review: Review, items: Mapping[str, Item], reviewer: str, console: Console, *, page: bool) -> None:
    from nla_ray.pipelines.review.sittings import Sitting

    sitting = Sitting(review.store, review.review_id, reviewer, items)
    if sitting.taken_up:
        console.print(f"verdicts kept of a sitting that was broken off: {sitting.taken_up}")
    try:
        with stoppable(review.store.url):
            _ask(sitting, review.claims, console, page=page)
    finally:
        kept = sitting.close()
        console.print(f"verdicts kept: {kept}; judged: {len(sitting.said)} of {len(items)}")


def _ask(sitting: Sitting, claims: Mapping[str, str], console: Console, *, page: bool) -> None:
    if page:
        from nla_ray.cli.review.server import serve

        serve(sitting, claims, lambda url: console.print(f"review at {url} (Ctrl-C ends it)", soft_wrap=True))
    else:
        from nla_ray.cli.review.terminal import ask

        ask(sitting, claims, console)


def _write_sheet(items: Mapping[str, Item], claims: Mapping[str, str], path: Path, reviewer: str) -> None:
    from nla_ray.audit.review.sheet import sheet
    from nla_ray.errors import ConfigError

    try:
        with path.open("x", encoding="utf-8-sig", newline="") as file:
            file.write(sheet(items.values(), claims, reviewer))
    except OSError as error:
        raise ConfigError(f"--sheet {path}: cannot be written: {error.strerror}; name another file") from None


def _read_labels(review: Review, items: Mapping[str, Item], path: str, console: Console) -> None:
    from nla_ray.audit.review.labels import read_labels
    from nla_ray.errors import InputError
    from nla_ray.pipelines.review.importing import keep_labels
    from nla_ray.store.places.files import read_bytes

    texts = {hit: item.text for hit, item in items.items()}
    try:
        data = read_bytes(path)
    except InputError as error:
        raise type(error)(f"--labels {error}; write one with --sheet") from None
    given = read_labels(data, path, review.review_id, texts)
    kept = keep_labels(review, items, given, path)
    console.print(f"verdicts kept: {kept}; there before: {len(given) - kept}")
