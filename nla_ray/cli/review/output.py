"""What `nla-ray review` prints: precision and recall by detector, agreement, blocks for packs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.audit.review.agreement import Agreement
    from nla_ray.config.detectors.model import Estimate
    from nla_ray.pipelines.review.sample import Review


def print_results(review: Review, console: Console, *, blocks: bool) -> None:
    """Precision and recall of what is committed; with `blocks` also `validation` for packs."""
    from nla_ray.config.detectors.model import VALIDATED
    from nla_ray.pipelines.review.sittings import verdicts
    from nla_ray.pipelines.review.validation import agreed, estimates, on_rules, validation_of

    rows = [row for row in verdicts(review.store) if row["review_id"] == review.review_id]
    rows = on_rules(rows, review.packs.detectors)
    if not rows:
        console.print("nothing was judged of this sample yet")
        return
    found = estimates(rows, review.packs.detectors)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("detector", overflow="fold")
    for name in ("true hits", "precision", "missed", "recall", "elsewhere", "controls", "unclear"):
        table.add_column(name, justify="right")
    for one in found.values():
        table.add_row(
            printable(one.detector), f"{one.true}/{one.true + one.false}", _share(one.precision),
            f"{one.missed}/{one.missed + one.rightly}", _share(one.recall), "{}/{}".format(*one.elsewhere),
            "{}/{}".format(*one.controls), str(one.unclear),
        )  # fmt: skip
    console.print(table)
    console.print(
        "true hits: of those judged in real explanations, whose share is the precision. missed: true ones of "
        "what is no hit. recall: true hits of all that is true among hits and near misses, by the sample's "
        "weights. elsewhere: true ones without a word of the detector, which recall leaves out. controls: "
        "true hits there. Intervals: 95 %, documents of one family as clusters.",
        highlight=False,
    )
    validations = {one.detector: validation_of(one, rows) for one in found.values()}
    if young := [name for name, one in validations.items() if not one.enough]:
        told = f"precision not known, fewer than {VALIDATED} hits judged: {', '.join(young)}"
        console.print(printable(told), markup=False)
    console.print(_agreement(agreed(rows)), highlight=False)
    for name, known in validations.items() if blocks else ():
        block = {name: {"validation": known.model_dump(exclude_none=True)}}
        text = yaml.safe_dump(block, sort_keys=False)  # escapes what is not ASCII: names come from files
        console.out(text, highlight=False, end="")


def _share(found: Estimate | None) -> str:
    return "-" if found is None else f"{found.rate:.2f}\n{found.low:.2f}-{found.high:.2f}"


def _agreement(found: Agreement) -> str:
    if not found.items:
        return "agreement: nothing was judged by two reviewers"
    if found.alpha is None:
        return f"agreement: cannot be told, {found.items} explanations have one and the same verdict"
    between = "" if found.interval is None else " ({:.2f} to {:.2f})".format(*found.interval)
    few = "; too few for an interval" if found.interval is None else ""
    return f"agreement: Krippendorff's alpha {found.alpha:.2f}{between} on {found.items} explanations{few}"
