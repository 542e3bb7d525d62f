"""What a training prints, on a terminal of 80 columns and in a log."""

from __future__ import annotations

import io

from rich.console import Console

from nla_ray.cli.training.output import print_pair, showing
from nla_ray.config.training.train import TrainConfig
from nla_ray.pipelines.train.run import StageResult, TrainedPair
from nla_ray.training.loop.metrics import Progress

CONFIG = TrainConfig.model_validate(
    {
        "output": "out", "target": "demo:target", "data": {"path": "set"},
        "stages": {"sft_ar": {"steps": 4, "lr": 1}, "sft_av": {"steps": 250, "lr": 1}},
    }
)  # fmt: skip
HELD_OUT = {"fve_nrm": 0.765, "shuffled": -0.5, "loss": 0.25}
REPORTS = (
    Progress(doing="reading ar_sft"),
    Progress("sft_ar", 4, 4, before=4),
    Progress("sft_av", steps=250, doing="loading the verbalizer"),
    Progress("sft_av", 100, 250, before=100, doing="reading the checkpoint"),
    Progress("sft_av", 101, 250, before=100, metrics={"loss": 2.25}, seconds_per_step=0.5),
    Progress("sft_av", 101, 250, before=100, metrics={"loss": 2.25}, doing="measuring"),
    Progress("sft_av", 101, 250, before=100, metrics={"loss": 2.25}, held_out=HELD_OUT),
)


def shown(*, terminal: bool) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, color_system=None)
    with showing(console) as report:
        for now in REPORTS:
            report(now)
    return out.getvalue().splitlines()


def test_a_log_has_a_line_for_everything_that_takes_time() -> None:
    assert shown(terminal=False) == [
        "starting",
        "reading ar_sft",
        "sft_ar: trained before",
        "sft_av: loading the verbalizer",
        "sft_av: going on from step 100",
        "sft_av: reading the checkpoint",
        "sft_av: step 101/250, loss 2.250, 0.50 s/step, 0:01:14 left",
        "sft_av: measuring",
        "sft_av: held-out fve_nrm 0.765, shuffled -0.500, gap 1.265 at step 101",
    ]


def test_a_terminal_keeps_what_lasts_above_the_bars() -> None:
    text = "\n".join(shown(terminal=True))
    for line in (
        "sft_ar: trained before",
        "sft_av: going on from step 100",
        "sft_av: held-out fve_nrm 0.765, shuffled -0.500, gap 1.265 at step 101",
    ):
        assert text.count(line) == 1
    assert "101/250 loss 2.250" in text and "starting" not in text.splitlines()[-1]


def test_the_result_fits_80_columns() -> None:
    ends = {"fve_nrm_low": -0.701, "fve_nrm_high": -0.801, "rows": 512.0, "documents": 122.0}
    stages = (
        StageResult("sft_ar", 4, 4, HELD_OUT | ends),
        StageResult("rl", 3000, 2400, {"fve_nrm": 0.9, "shuffled": -0.5}, ratio=1.0002),
    )
    places = ("out/rl/av", "out/rl/ar", "out/report.html")
    pair = TrainedPair(stages, "Var", {"rl": 3}, None, True, True, *places, verdict="broken")
    out = io.StringIO()
    print_pair(pair, CONFIG, Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert lines[0] == "trained before; nothing was done"
    rows = [" ".join(line.split()) for line in lines]
    assert "sft_ar 4/4 512 122 0.765 -0.701 to -0.801 -0.500 1.265 0.250" in rows
    assert "rl 2400/3000 - - 0.900 - -0.500 1.400 -" in rows
    assert "importance ratio: 1.0002 over the last steps; 1: what is sampled is what is trained" in lines
    assert "check it: nla-ray check out/rl/av out/rl/ar --target demo:target" in lines
    assert "report: out/report.html: broken" in lines
