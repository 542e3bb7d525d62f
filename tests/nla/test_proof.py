"""What no file tells is proven by decoding or refused: the injection, and that the pair reads its target."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.config.models.injection import Injection
from nla_ray.config.models.reference import ModelRef
from nla_ray.models import directory_of
from nla_ray.nla.proof.prove import Pair, prove
from nla_ray.nla.proof.verdict import Proof, Tried
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from tests.nla.preflight.pairs import edit_sidecar

REPLACED, RAW, ADDED = "replace@embedding=2.0", "replace@embedding=raw", "add_matched@output:1=1.0"


def proof(wanted: str | None, **lows: float) -> Proof:
    names = {"replaced": REPLACED, "raw": RAW, "added": ADDED}
    tried = tuple(Tried(names[name], 0.8, 0.5, low, 0.9, 1.0) for name, low in lows.items())
    return Proof(tried, wanted)


@pytest.mark.parametrize(
    ("found", "proven", "word"),
    [
        (proof(REPLACED, replaced=0.2, added=-0.1), REPLACED, "proven"),
        (proof(None, raw=-0.2, added=0.2), ADDED, "proven"),
        (proof(None, replaced=0.2, raw=0.2, added=-0.1), None, "undecided"),
        (proof(REPLACED, replaced=0.2, added=0.2), None, "undecided"),
        (proof(REPLACED, replaced=-0.2, added=0.2), None, f"refused: {REPLACED} is said"),
        (proof(ADDED, replaced=-0.2, added=float("-inf")), None, "refused: the pair does not read"),
    ],
)
def test_only_what_stands_alone_is_proven(found: Proof, proven: str | None, word: str) -> None:
    assert found.proven == proven and found.verdict.startswith(word)


def of_demo(part: str) -> Path:
    return directory_of(ModelRef.parse(f"demo:{part}"))


@pytest.mark.slow
def test_a_pair_is_proven_as_it_says_and_refused_where_its_sidecar_is_wrong(tmp_path: Path) -> None:
    found = prove(Pair(of_demo("av"), of_demo("ar"), of_demo("target")))
    assert found.proven == found.wanted and str(found.proven).startswith("replace@embedding=")
    assert [one.reads for one in found.tried] == [True, False]
    av = shutil.copytree(of_demo("av"), tmp_path / "av")
    write_sidecar(av, replace(read_sidecar(av), injection=Injection("add_matched", "output", 1, 1.0)))
    wrong = prove(Pair(av, of_demo("ar"), of_demo("target")))
    assert wrong.proven is None and wrong.verdict.startswith(f"refused: {ADDED} is said")
    shutil.copy(of_demo("av") / "nla_meta.yaml", av)
    edit_sidecar(av, extraction={"norm": "none"})
    untold = prove(Pair(av, of_demo("ar"), of_demo("target")))
    assert untold.wanted is None and "undecided: the pair reads under replace@embedding" in untold.verdict
    assert ADDED not in untold.verdict


@pytest.mark.slow
def test_a_target_of_the_same_shape_is_refused(tmp_path: Path) -> None:
    target = shutil.copytree(of_demo("target"), tmp_path / "target")
    generator = torch.Generator().manual_seed(0)
    for file in target.glob("*.safetensors"):
        weights = {
            name: torch.randn(one.shape, generator=generator) * one.float().std() if one.ndim > 1 else one
            for name, one in load_file(file).items()
        }
        save_file(weights, file, metadata={"format": "pt"})
    found = prove(Pair(of_demo("av"), of_demo("ar"), target))
    assert found.verdict.startswith("refused: the pair does not read this target")
