"""`nla-ray evaluate`: how good a pair is, beside what chance would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nla_ray.cli.output import progress, say_what_is_not_read
from nla_ray.cli.settings import settings_of
from nla_ray.errors import Exit
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.evaluation.model import Evaluation, Mean, Measured

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example corpus.limit=100.")
]


def evaluate_command(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="YAML, local or s3://; see schemas/evaluate.schema.json."),
    ],
    overrides: Overrides = None,
) -> None:
    """Measure a pair on held-out activations: fidelity beside controls, robustness of the text, recurrence.

    Writes evaluation.json and evaluation.html. Exits 10 when the pair is broken, that is when its own
    activations do not lie above every control, 4 when there is too little evidence to say;
    docs/operations.md has all exit codes.
    """
    from nla_ray.config.evaluate import EvaluateConfig

    settings = settings_of(EvaluateConfig, config, overrides)
    console = Console()
    say_what_is_not_read(settings.corpus, console)
    from nla_ray.pipelines.evaluate import evaluate

    with progress(console) as report:
        done = evaluate(settings, report=report)
    for warning in done.summary.record["warnings"]:
        _line(console, "warning", warning)
    for reason, count in done.summary.reasons.items():
        _line(console, "failed", f"{count} x {reason}")
    print_evaluation(done.evaluation, console)
    _line(console, "written", f"{done.output}/evaluation.html, {done.output}/evaluation.json")
    if done.evaluation.verdict != "above controls":
        raise typer.Exit(Exit.NO if done.evaluation.verdict == "broken" else Exit.INSUFFICIENT)


def print_evaluation(found: Evaluation, console: Console) -> None:
    """The verdict, the controls, and one line for each of the other parts."""
    _line(console, "verdict", found.verdict)
    for reason in found.reasons:
        _line(console, "  because", reason)
    of = f"{found.provenance.documents} documents, {found.provenance.vectors} vectors"
    _line(console, "read", f"{of}, {found.generated_tokens:,} tokens written")
    if found.times.seconds_per_vector is not None:
        _line(console, "speed", f"{found.times.seconds_per_vector:.3f} busy seconds a vector")
    against = f"Var(v_nrm) = {found.baseline.value:.4f} of {found.baseline.reference}"
    _line(console, "fidelity", f"fve_nrm against {against}")
    console.print(controls_table(found.measured))
    for grouped in found.buckets:
        _line(
            console,
            f"by {grouped.by}",
            "; ".join(f"{one.name}: {_mean(one.fve_nrm)}" for one in grouped.buckets),
        )
    for edit in found.robustness.edits:
        changed = f"{_mean(edit.intact)} to {_mean(edit.edited)} on the {edit.changed} texts that it changes"
        _line(console, edit.name, changed if edit.changed else "changes no text")
    cut = ", ".join(f"{one.share:.0%} {_mean(one.fve_nrm)}" for one in found.robustness.lengths)
    _line(console, "fidelity by share of words kept", cut)
    for one in found.recurrence:
        _line(
            console,
            f"recurrence of a {one.feature} over {one.over}",
            f"{_mean(one.rate)}, by chance {_mean(one.chance)}",
        )
    for choice in found.distractors:
        _line(
            console,
            f"own vector chosen, against {choice.distractors}",
            f"{_mean(choice.share)}; 0.5 is chance",
        )
    for planted in found.planted:
        if planted.control == "real" and planted.recall.share is not None:
            precision = "-" if planted.precision.share is None else f"{planted.precision.share:.1%}"
            _line(
                console, f"planted {planted.prop}",
                f"recall {planted.recall.share:.1%} of {planted.recall.n} (chance {planted.chance:.1%}), "
                f"precision {precision} of {planted.precision.n}",
            )  # fmt: skip


def controls_table(measured: tuple[Measured, ...]) -> Table:
    """Fidelity and parse quality of the real rows beside every control."""
    table = Table()
    for name in ("injected", "documents", "answers", "ok", "fve_nrm", "95 % interval"):
        table.add_column(name, justify="left" if name == "injected" else "right")
    for one in measured:
        ok = one.outcomes["ok"].share
        table.add_row(
            one.control, str(one.documents), str(one.rows), "-" if ok is None else f"{ok:.1%}",
            _mean(one.fve_nrm), _interval(one.fve_nrm),
        )  # fmt: skip
    return table


def _mean(found: Mean) -> str:
    return "-" if found.mean is None else f"{found.mean:.3f}"


def _interval(found: Mean) -> str:
    return "-" if found.low is None or found.high is None else f"{found.low:.3f} to {found.high:.3f}"


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
