"""What do adapters cost and reach in joint training beside all weights: same data, same steps, demo world?

    python -m benchmarks.lora                        # 250 steps of both, about 40 minutes of one core
    python -m benchmarks.lora --steps 10 --documents 200 --measured 24

Both start from the shipped warm pair (`demo:av-sft`, `demo:ar-sft`) and draw the same activations at every
step. Memory is what training holds on purpose: parameters of AV, AR and the reference, gradients, and the
state of the optimiser; activations and the sampling engine are the same for both.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from benchmarks._common import write_result
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.lora import Lora
from nla_ray.config.training.reinforce import Reinforce
from nla_ray.demo.recipe.reinforce import Course
from nla_ray.demo.recipe.train import RECIPES
from nla_ray.nla.model.resolve import resolve
from nla_ray.training.lora import Adapting

PARTS = ("target", "av-sft", "ar-sft")
POINTS = 2
"""Measurements after the one at the start."""


def main() -> None:
    """Train twice, measure, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    recipe = RECIPES["full"]
    parser.add_argument("--steps", type=int, default=recipe.rl_steps)
    parser.add_argument("--documents", type=int, default=recipe.rl_documents)
    parser.add_argument("--measured", type=int, default=recipe.rl_measured)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2.5, help="times the learning rates of all weights")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    whole = recipe.reinforcement().model_copy(update={"steps": arguments.steps})
    rates = {"av_lr": whole.av_lr * arguments.rate, "ar_lr": whole.ar_lr * arguments.rate}
    adapters = Adapting(Lora(rank=arguments.rank), torch.float32, arguments.seed)
    label = "short" if arguments.steps < recipe.rl_steps else ""
    result: dict[str, Any] = {"config": vars(arguments) | {"reinforce": whole.model_dump(mode="json")}}
    for name, options, lora in (
        ("all_weights", whole, None),
        ("adapters", whole.model_copy(update=rates), adapters),
    ):
        result[name] = run(options, arguments, lora)
        write_result("lora", "cpu", result, label)
    both = [result[name] for name in ("all_weights", "adapters")]
    result["memory_ratio"] = both[1]["tracked_bytes"]["total"] / both[0]["tracked_bytes"]["total"]
    result["fve_nrm_behind"] = [
        one["fve_nrm"] - other["fve_nrm"]
        for one, other in zip(both[0]["curve"], both[1]["curve"], strict=True)
    ]
    write_result("lora", "cpu", result, label)


def run(options: Reinforce, arguments: argparse.Namespace, lora: Adapting | None) -> dict[str, Any]:
    """One training: its curve, CPU-seconds a step (measurements left out), and what it holds in memory."""
    with TemporaryDirectory() as folder:
        for part in PARTS:
            shutil.copytree(resolve(ModelRef.parse(f"demo:{part}")), Path(folder, part))
        course = Course(Path(folder), options, arguments.documents, arguments.measured, arguments.seed, lora)
        every, busy, curve = max(1, options.steps // POINTS), 0.0, []
        for n in range(options.steps + 1):
            if n % every == 0 or n == options.steps:
                curve.append({"step": n} | course.look())
                print(curve[-1], flush=True)
            if n < options.steps:
                began = time.process_time()
                course.learner.step(n)
                busy += time.process_time() - began
    return {
        "cpu_seconds_per_step": busy / options.steps,
        "tracked_bytes": tracked(course),
        "gain_fve_nrm": curve[-1]["fve_nrm"] - curve[0]["fve_nrm"],
        "curve": curve,
    }


def tracked(course: Course) -> dict[str, int]:
    """Bytes that are held from step to step."""
    learner = course.learner
    models: list[nn.Module] = [learner.av.model, learner.ar.model]
    copies = [] if learner.reference is learner.av.model else [learner.reference]
    trained = [one for model in models for one in model.parameters() if one.requires_grad]
    states = [
        value for side in (learner.av, learner.ar) for state in side.optimizer.state.values()
        for value in state.values()
    ]  # fmt: skip
    found = {
        "parameters": size(one for model in models for one in model.parameters()),
        "reference": size(one for model in copies for one in model.parameters()),
        "gradients": size(trained),
        "optimiser": size(states),
    }
    return found | {"total": sum(found.values())}


def size(tensors: Iterator[torch.Tensor] | list[Any]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


if __name__ == "__main__":
    main()
