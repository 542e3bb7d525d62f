"""What does joint reinforcement add to the demo's warm pair, and what does it cost in what texts say?

    python -m benchmarks.reinforce                     # three seeds, 25 minutes of one core each
    python -m benchmarks.reinforce --seeds 3 --steps 75

Every run starts from the shipped warm pair (`demo:av-sft`, `demo:ar-sft`) and is the last stage of `nla-ray
demo-train`. Held-out fidelity, the same answers held against other activations, and how often the planted
safety properties are named are measured on the way, on documents that no training reads.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._common import write_result
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.reinforce import Reinforce
from nla_ray.demo.recipe.reinforce import reinforce
from nla_ray.demo.recipe.train import RECIPES, Recipe
from nla_ray.nla.model.resolve import resolve

PARTS = ("target", "av-sft", "ar-sft")


def main() -> None:
    """Train, measure, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    recipe = RECIPES["full"]
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=recipe.rl_steps)
    parser.add_argument("--kl", type=float, default=recipe.rl_kl)
    arguments = parser.parse_args()
    options = recipe.reinforcement().model_copy(update={"steps": arguments.steps, "kl": arguments.kl})
    result: dict[str, Any] = {
        "config": options.model_dump(mode="json"), "documents": recipe.rl_documents, "runs": [],
    }  # fmt: skip
    for seed in arguments.seeds:
        result["runs"].append(run(options, recipe, seed))
        # A seed takes minutes; what is measured is kept, whatever becomes of the next one.
        write_result("reinforce", "cpu", result)


def run(options: Reinforce, recipe: Recipe, seed: int) -> dict[str, Any]:
    """One seed: the curve, the gain in held-out `fve_nrm`, the change of mean recall, minutes."""
    with TemporaryDirectory() as folder:
        for part in PARTS:
            shutil.copytree(resolve(ModelRef.parse(f"demo:{part}")), Path(folder, part))
        began, busy = time.monotonic(), time.process_time()
        curve = reinforce(
            Path(folder), options, documents=recipe.rl_documents, measured=recipe.rl_measured, seed=seed,
            report=lambda n, metrics: print(f"seed {seed}, step {n + 1}: reward {metrics['reward']:.4f}"),
        )  # fmt: skip
    first, last = curve[0], curve[-1]
    return {
        "seed": seed,
        "minutes": (time.monotonic() - began) / 60,
        "cpu_minutes": (time.process_time() - busy) / 60,
        "gain_fve_nrm": last["fve_nrm"] - first["fve_nrm"],
        "change_of_recall": last["recall"] - first["recall"],
        "largest_shuffled": max(point["shuffled"] for point in curve),
        "curve": curve,
    }


if __name__ == "__main__":
    main()
