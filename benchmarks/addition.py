"""Does the proof find that a pair was trained by addition, where no file says so, and refuse what it was not?

    python -m benchmarks.addition                    # 400 steps, about 3 minutes of one core
    python -m benchmarks.addition --folder pair      # keeps the pair; one that is there is only proven

A verbalizer of the demo world is trained from the target by `add_matched@output:1` (a warm start: true, brief
explanations) and read by the demo's reconstructor. Then the proof is asked four times: where nothing tells,
where addition is said, where replacement is said, and of the demo's own pair where addition is said.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks._common import write_result
from nla_ray.config.models.injection import Injection
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.train import Supervised
from nla_ray.demo.recipe.autoencoder import WarmStart, sidecar_of
from nla_ray.demo.recipe.measure import draw
from nla_ray.demo.recipe.reinforce import CURVE_SEED
from nla_ray.demo.recipe.target import LAYER
from nla_ray.demo.recipe.train import PAIRS_PER_DOCUMENT, PAIRS_SEED, RECIPES
from nla_ray.models import directory_of
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.proof.prove import Pair, prove
from nla_ray.nla.reconstruction.fidelity import variance_baseline

ADDED, REPLACED = "add_matched@output:1", "replace@embedding=29.325"
HELD_OUT = 5


def main() -> None:
    """Train where there is no pair yet, prove, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        av = folder / "av-sft"
        if not av.is_dir():
            train(folder, arguments)
        untold = without_injection(av, Path(scratch) / "untold")
        asked = {
            "nothing is said": (untold, None),
            "addition is said": (av, None),
            "replacement is said": (untold, REPLACED),
            "addition is said of a pair trained by replacement": (
                without_injection(of_demo("av"), Path(scratch) / "demo"),
                ADDED,
            ),
        }
        found = {name: proof(*one) for name, one in asked.items()}
    config = {name: value for name, value in vars(arguments).items() if name != "folder"}
    write_result("addition", "cpu", {"config": config | {"trained_by": ADDED}, "proofs": found})


def of_demo(part: str) -> Path:
    """A directory of the demo pair."""
    return directory_of(ModelRef.parse(f"demo:{part}"))


def train(folder: Path, arguments: argparse.Namespace) -> None:
    """Leave the verbalizer in `av-sft`, with a sidecar that says how it was trained."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(of_demo("target"), folder / "target", dirs_exist_ok=True)
    extractor, tokenizer = Extractor(folder / "target", [LAYER]), load_tokenizer(folder / "target")
    sample = draw(
        extractor, tokenizer, PAIRS_SEED, arguments.documents, positions=PAIRS_PER_DOCUMENT, brief=True
    )
    sidecar = replace(
        sidecar_of(folder, extractor.d_model, 1.0, {}), injection=Injection.parse(ADDED, extractor.d_model)
    )
    held_out = draw(extractor, tokenizer, CURVE_SEED, HELD_OUT).held_out()
    start = WarmStart(folder, sidecar, sample, held_out, variance_baseline(sample.vectors, "this sample"), 0)
    options = Supervised(
        steps=arguments.steps, lr=RECIPES["full"].av_lr, batch=arguments.batch, micro_batch=arguments.batch
    )
    start.train("av", options, lambda step, loss: print(step, round(loss, 3)) if step % 50 == 0 else None)


def without_injection(av: Path, copy: Path) -> Path:
    """The same verbalizer where no file tells how vectors enter."""
    shutil.copytree(av, copy)
    file = copy / "nla_meta.yaml"
    meta = yaml.safe_load(file.read_text(encoding="utf-8"))
    meta["extraction"] = {"norm": "none"}
    file.write_text(yaml.safe_dump(meta, allow_unicode=True), encoding="utf-8")
    return copy


def proof(av: Path, injection: str | None) -> dict[str, Any]:
    """What a proof says, and all that it stands on."""
    made = prove(Pair(av, of_demo("ar"), of_demo("target"), injection))
    return {"says": made.verdict} | made.as_json()


if __name__ == "__main__":
    main()
