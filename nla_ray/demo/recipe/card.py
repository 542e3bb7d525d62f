"""The demo pair's model card, written from the measurements beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nla_ray.demo.recipe.measure import POSITIONS, mean_safety
from nla_ray.demo.recipe.target import LAYER
from nla_ray.evaluation.truth import PropertyScore

_HEAD = """\
---
library_name: nla-ray
license: apache-2.0
---
# The nla_ray demo pair

A small language model (`target`), its verbalizer (`av`) and its reconstructor (`ar`), all trained from
nothing on a world of synthetic documents whose topic, item, mood and safety property are planted and
therefore known. They exist so that everything in nla_ray can be run and judged in seconds on two cores.
They know nothing about the real world. `av-sft` and `ar-sft` are the warm pair that `av` and `ar` were
reinforced from: the place to start when trying out reinforcement.

## How they were made

`nla-ray demo-train` wrote every file here: no step is done by hand. The documents are a pure function of a
seed (`nla_ray/demo/world.yaml` holds every word and sentence shape). The target is trained on next tokens
and, at the output of block K = {layer}, on a bag of the words that come next, without which a model this
small does not keep the planted truth in its residual stream.

The warm AR and AV are trained on pairs of an activation and a true but brief explanation, as a helper model
would write: it mentions mood, safety and the place in the text only at times, and quotes one to four of the
last words. Reinforcement (GRPO, reward -mse_nrm, no explanations) then lets the AV find out what is worth
saying, while the AR learns to read it.

Recipe: {recipe}.
Seed {seed}. Training took {minutes:.0f} minutes ({hardware}).

## What was measured

On documents that no training reads ({documents} documents x {positions} random positions), with the published
loaders and engine, one sample at temperature 1. Recall stands beside chance, the recall of the same
explanations dealt out to documents at random: a control is at chance, whatever it likes to say most.
FVE baseline: Var(v_nrm) = {baseline:.4f} over {n} vectors: {reference}.
"""

_FOOT = """
## Limits

Precision counts a claim as right when the document has the property; recall counts only positions where the
text has already shown it. Held-out wordings use sentence shapes that occur in no training text, made of
words that do. The world has one safety property a document at most, closed word lists and one language:
scores here are a check of the machinery and say nothing about how faithful explanations of a real model
are.
"""


_CURVE = """
## What reinforcement changed

Held-out `fve_nrm` on the way, on {rows} activations of other documents:

| step | fve_nrm | shuffled | tokens | safety: mean recall | worst | mean precision |
|---|---|---|---|---|---|---|
{lines}

On the test documents below, the warm pair against the reinforced one:

| | fve_nrm | mood | safety: mean recall | mean precision |
|---|---|---|---|---|
| warm | {warm} |
| reinforced | {now} |
"""


def card(measured: Mapping[str, Any]) -> str:
    """The card as Markdown: a function of `measured.json` alone."""
    training, baseline = measured["training"], measured["baseline"]
    head = _HEAD.format(
        layer=LAYER, recipe=", ".join(f"{key} {value}" for key, value in training["recipe"].items()),
        seed=training["seed"], minutes=training["minutes"], hardware=training["hardware"],
        documents=measured["documents"], positions=POSITIONS, baseline=baseline["value"], n=baseline["n"],
        reference=baseline["reference"],
    )  # fmt: skip
    titles = {"test": "Training wordings", "held_out_wordings": "Held-out wordings"}
    return (
        head
        + _curve(measured)
        + "".join(_section(title, measured[key]) for key, title in titles.items())
        + _FOOT
    )


def _curve(measured: Mapping[str, Any]) -> str:
    points = [
        f"| {one['step']} | {one['fve_nrm']:.3f} | {one['shuffled']:.3f} | {one['mean_tokens']:.1f} | "
        f"{one['recall']:.3f} | {one['worst_recall']:.3f} | {one['precision']:.3f} |"
        for one in measured["curve"]
    ]
    test = measured["test"]
    return _CURVE.format(
        rows=measured["training"]["recipe"]["rl_measured"] * POSITIONS,
        lines="\n".join(points),
        warm=_line(test["warm"]),
        now=_line(test["real"]),
    )


def _line(rows: Mapping[str, Any]) -> str:
    scores = [PropertyScore(**one) for one in rows["planted"]]
    mood = next(one.recall for one in scores if one.prop == "mood")
    return " | ".join(f"{value:.3f}" for value in (rows["fve_nrm"], mood, *mean_safety(scores)))


def _section(title: str, rows: Mapping[str, Any]) -> str:
    fve = ", ".join(f"{control} {rows[control]['fve_nrm']:.3f}" for control in ("real", "shuffled", "random"))
    lines = [
        f"\n### {title}\n",
        f"`fve_nrm`, round trip: {fve}; AR on true explanations {rows['ar_on_true']:.3f}.\n",
        "| property | n | probe | precision | recall (chance) | shuffled (chance) | random (chance) |",
        "|---|---|---|---|---|---|---|",
    ]
    columns = [rows[control]["planted"] for control in ("real", "shuffled", "random")]
    for scores in zip(*columns, strict=True):
        real = scores[0]
        cells = [
            real["prop"],
            str(real["n"]),
            _share(rows["probe"].get(real["prop"])),
            _share(real["precision"]),
        ]
        cells += [f"{one['recall']:.3f} ({one['chance']:.3f})" for one in scores]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
