"""What `nla-ray decode` prints: what it would do, and the summary of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.pipelines.decode.outcome.summary import Summary
    from nla_ray.pipelines.decode.pieces.examples import Example
    from nla_ray.pipelines.decode.planning import Decode
    from nla_ray.pipelines.decode.run import Decoded

QUERIES = (
    "SELECT control, count(*) AS n, avg(fve_nrm) AS fve_nrm FROM all_explanations {run} GROUP BY control",
    "SELECT doc_id, position, token, explanation FROM explanations {run} ORDER BY fve_nrm DESC LIMIT 5",
    "SELECT reason, count(*) AS n FROM failures {run} GROUP BY reason ORDER BY n DESC",
)
"""Questions that every run can answer."""


def print_plan(
    ready: Decode, written: int, held: Mapping[str, int], seconds: float | None, console: Console
) -> None:
    """What a decode would do; `held` are units that other runs hold, by run id."""
    survey, rows = ready.survey, [task.planned for task in ready.tasks]
    known = sum(count or 0 for count in rows)
    vectors = "as many as the target's answers have" if survey.vectors is None else f"{survey.vectors:,}"
    for warning in ready.warnings:
        _line(console, "warning", warning)
    _line(console, "run", f"{ready.plan.run_id} of layer {ready.identity.layer}, to {ready.config.output}")
    _line(console, "documents", f"{survey.documents:,}, {survey.unusable:,} of them unusable")
    for reason in ready.unusable:
        _line(console, "  unusable", reason)
    if survey.shapes:
        shapes = [f"{name} {count:,}" for name, count in survey.shapes.items()]
        _line(console, "chats recorded as", ", ".join(shapes))
    _line(console, "units", f"{len(rows):,}, {written:,} of them written already")
    for run_id, count in held.items():
        _line(
            console,
            "  reused",
            f"{count:,} of {len(rows):,} units are in run {run_id} already: they cost nothing",
        )
    _line(console, "vectors", f"{vectors}, controls not counted")
    if None not in rows:
        _line(console, "rows", f"{known:,}, controls and samples counted")
        _line(console, "tokens", f"{survey.tokens:,} for the target")
        _left_out(console, survey.left_out, survey.truncated, survey.windowed)
    if seconds is not None:
        _line(console, "estimated time", f"{timedelta(seconds=round(seconds))}, without loading the models")
    if ready.examples:
        _line(console, "positions", "some of those that are chosen, each [token] in its place")
        console.print(examples_table(ready.examples, console.width))


def print_run(run: Decoded, console: Console) -> None:
    """The summary of a run: outcomes, fidelity beside controls, planted truth, speed, where to ask on."""
    summary, record = run.summary, run.summary.record
    if run.again:
        _line(console, "finished before", f"{record['finished_at']}; nothing was done")
        _noted(console, run.note)
    for warning in record["warnings"]:
        _line(console, "warning", warning)
    total = sum(summary.outcomes.values())
    shares = [f"{name} {count} ({count / total:.1%})" for name, count in summary.outcomes.items()]
    vectors = f"{summary.vectors} vectors and {summary.controls} controls"
    _line(console, "documents", f"{summary.documents}, {vectors}, {summary.rows} rows")
    _left_out(console, *(record[name] for name in ("left_out", "truncated", "windowed")))
    _line(console, "outcomes of real rows", ", ".join(shares) or "none")
    for reason, count in summary.reasons.items():
        _line(console, "  failed", f"{count} x {reason}")
    if summary.quarantined:
        share = f"{summary.quarantined} rows ({run.failed_fraction:.2%})"
        _line(console, "quarantine", f"{share} that no worker could make; view `failures` says why")
    if summary.flags:
        _line(console, "flags", ", ".join(f"{name} {count}" for name, count in summary.flags.items()))
    _reused(console, record)
    _line(console, "pair", proof_line(record.get("proof")))
    _line(console, "speed", speed(record))
    if summary.fidelity:
        baseline = record["baseline"]
        against = f"Var(v_nrm) = {baseline['value']:.4f} of {baseline['reference']}"
        _line(console, "fidelity", f"fve_nrm against {against}")
        console.print(fidelity_table(summary))
        _unread(console, summary)
    if summary.planted:
        _line(console, "planted truth", "share of explanations that name it where it was shown / of how many")
        console.print(planted_table(summary.planted))
    _line(console, "tables", f"{run.output}, run {run.run_id} of layer {run.layer}")
    console.print(Text("ask them:", "bold"))
    for query in QUERIES:
        of_run = query.format(run=f"WHERE run_id = '{run.run_id}'")
        command = f'  nla-ray sql {shlex.quote(run.output)} "{of_run}"'
        console.print(command, markup=False, highlight=False, soft_wrap=True)


def proof_line(proof: Mapping[str, Any] | None) -> str:
    """Whether the pair was proven to read the target, with the numbers that say so."""
    if not proof:
        return "not known whether it reads this target: made by an earlier version"
    if proof["verdict"] != "proven":
        return f"not proven to read this target: {proof['why']}"
    return (
        f"reads this target by {proof['injection']}: cosine {proof['own']:.3f} with its own vectors, "
        f"{proof['others']:.3f} with other texts', difference {proof['low']:+.3f} to {proof['high']:+.3f}"
    )


def print_over_budget(run: Decoded, allowed: float, console: Console) -> None:
    """Why the exit code is 3, and what can be done."""
    said = (
        f"{run.failed_fraction:.2%} of the rows are in quarantine, more than max_failed_fraction "
        f"({allowed:.2%}); the run is committed as it is: to try those documents again, mend what the "
        "reasons say and decode into another output"
    )
    _line(console, "failed", said)


def examples_table(examples: Sequence[Example], width: int) -> Table:
    """One line for each token: document, position and label, and as much of the text around as has room."""
    names = [(printable(one.doc_id), str(one.position), printable(one.label or "")) for one in examples]
    taken = [min(16, max(map(cell_len, column))) for column in zip(*names, strict=True)]
    room = max(20, width - sum(taken) - len(taken))
    table = Table.grid(padding=(0, 1))
    for size in (*taken, room):
        table.add_column(width=size, no_wrap=True, overflow="ellipsis")
    for (doc_id, position, label), one in zip(names, examples, strict=True):
        table.add_row(Text(doc_id), position.rjust(taken[1]), Text(label), _in_place(one, room * 2 // 5))
    return table


def _in_place(one: Example, side: int) -> Text:
    """A token in brackets, with `side` cells of text before it."""
    before = one.before
    while cell_len(printable(before)) > side:
        before = before[1:]
    before = printable(before)
    indent, token = " " * (side - cell_len(before)), f"[{printable(one.token)}]"
    return Text.assemble((indent + before, "dim"), (token, "bold"), (printable(one.after), "dim"))


def speed(record: Mapping[str, Any]) -> str:
    """How fast the last attempt was and where the time of all went."""
    attempt = record["attempt"]
    busy = ", ".join(f"{name} {spent:.1f}" for name, spent in record["busy_seconds"].items())
    memory = f"{attempt['peak_bytes'] / 2**30:.1f} GiB in workers and driver"
    use = record.get("slot_use")
    slots = "" if use is None else f", slots {use:.0%} in use"
    made = f"{attempt['vectors_per_second']:.1f} vectors/s with controls"
    return f"{made} (busy seconds: {busy}){slots}, {memory}"


def fidelity_table(summary: Summary) -> Table:
    """Mean `fve_nrm` per control with its interval over documents."""
    table = Table()
    for name in ("injected", "rows", "documents", "mean", "95 % interval over documents"):
        table.add_column(name, justify="left" if name == "injected" else "right")
    for control, found in summary.fidelity.items():
        interval = "" if found.low is None else f"{found.low:.3f} to {found.high:.3f}"
        table.add_row(control, str(found.rows), str(found.documents), f"{found.mean:.3f}", interval)
    return table


def planted_table(planted: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Recall of each planted property, of how many explanations, by control; 80 columns hold it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("property", "prec.", *planted):
        table.add_column(name, justify="left" if name == "property" else "right", no_wrap=True)
    by_control = [{score["prop"]: score for score in scores} for scores in planted.values()]
    for prop, first in by_control[0].items() if by_control else ():
        precision = "" if first["precision"] is None else f"{first['precision']:.1%}"
        table.add_row(prop, precision, *(_share(scores[prop]) for scores in by_control))
    return table


def _share(score: Mapping[str, Any]) -> str:
    return f"{score['recall']:.0%}/{score['n']}" if score["n"] else "-"


def _left_out(console: Console, tokens: int, truncated: int, windowed: int) -> None:
    if tokens:
        why = f"{truncated:,} documents were cut at corpus.max_tokens, {windowed:,} have a window"
        _line(console, "not read", f"{tokens:,} tokens; {why}")


def _unread(console: Console, summary: Summary) -> None:
    real = summary.fidelity.get("real")
    if real is not None and real.mean <= 0:
        said = (
            f"fve_nrm of the real rows is {real.mean:.3f}: their texts say no more of the vectors than "
            "the mean of all vectors does; do not read them as what the target thinks"
        )
        _line(console, "warning", said)


def _noted(console: Console, other_code: str | None) -> None:
    if other_code:
        said = f"this run was made {other_code}; to make it again with this code, name another output"
        _line(console, "note", said)


def _reused(console: Console, record: Mapping[str, Any]) -> None:
    reused = record.get("reused") or {"units": 0}
    if reused["units"]:
        units = ", ".join(f"{count:,} of run {run_id}" for run_id, count in reused["from"].items())
        _line(console, "reused", f"{reused['units']:,} units, {reused['rows']:,} rows: {units}")


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
