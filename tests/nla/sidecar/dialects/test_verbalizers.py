"""A verbalizer of every dialect, as its trainer writes it: detected, and decoded as its own code decodes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.verbalizer import Sampling
from tests.nla.sidecar.dialects import writers
from tests.nla.sidecar.dialects.greedy import TOKENS, VECTORS, adapted, greedy
from tests.nla.sidecar.dialects.writers import Base
from tests.tiny import AV_TEMPLATE, BLOCKS, D_MODEL, LAYER, MARKER, tiny_checkpoint

ADDED = "add_matched@output:1"


def view(*directories: Path) -> Path:
    """What `X on Y on Z` is resolved to."""
    return resolve(ModelRef.parse(" on ".join(str(one) for one in directories)))


def answers(directory: Path, vectors: np.ndarray = VECTORS, **options: Any) -> list[list[int]]:
    engine = TransformersVerbalizer(directory, layout=SlotLayout(4), **options)
    rows = [f"row-{index}" for index in range(len(vectors))]
    found = engine.generate(vectors, rows, Sampling(temperature=0, max_new_tokens=TOKENS))
    return [list(one.token_ids) for one in found]


def prompt_ids(of: Base, text: str, *, special: bool = False) -> tuple[list[int], list[int]]:
    ids = of.tokenizer.encode(text, add_special_tokens=special)
    (marker,) = of.tokenizer.encode(MARKER, add_special_tokens=False)
    return ids, [index for index, token in enumerate(ids) if token == marker]


def test_easynla_over_its_base(base: Base, tmp_path: Path) -> None:
    av = writers.easynla_av(base, tmp_path / "iter_0001000")
    ids, slots = prompt_ids(base, writers.chat(base, AV_TEMPLATE.format(injection_char=MARKER)))
    expected = greedy(adapted(base, av), ids, slots, VECTORS[None], "add")
    assert answers(view(av, base.directory), injection=ADDED) == expected
    assert expected != greedy(adapted(base, av), ids, slots, VECTORS[None], str(math.sqrt(D_MODEL)))
    assert read_sidecar(view(av, base.directory), injection=ADDED).dialect == "EasyNLA"


def test_easynla_says_nothing_of_its_injection(base: Base, tmp_path: Path) -> None:
    av = writers.easynla_av(base, tmp_path / "iter_0001000")
    with pytest.raises(CheckpointError, match=r"nothing tells how this AV was given its vectors.*--prove"):
        read_sidecar(view(av, base.directory))


def test_easynla_rl_over_a_merged_verbalizer_and_over_two_adapters(base: Base, tmp_path: Path) -> None:
    sft = writers.easynla_av(base, tmp_path / "iter_0001000")
    over = writers.merged(base, sft, tmp_path / "av_base")
    rl = writers.easynla_rl(over, tmp_path / "rl")
    ids, slots = prompt_ids(base, writers.chat(base, AV_TEMPLATE.format(injection_char=MARKER)))
    expected = greedy(adapted(over, rl), ids, slots, VECTORS[None], "add")
    assert answers(view(rl, over.directory), injection=ADDED) == expected
    assert answers(view(rl, sft, base.directory), injection=ADDED) == expected


def test_template_options_are_those_of_the_pair(tmp_path: Path) -> None:
    base = writers.base(tmp_path / "base", thinking=True)
    av = writers.easynla_av(base, tmp_path / "iter_0001000")
    facts = PairFacts(template_options={"enable_thinking": False})
    text = writers.chat(base, AV_TEMPLATE.format(injection_char=MARKER), enable_thinking=False)
    assert "</think>" in text
    ids, slots = prompt_ids(base, text)
    expected = greedy(adapted(base, av), ids, slots, VECTORS[None], "add")
    assert answers(view(av, base.directory), injection=ADDED, facts=facts) == expected


def test_a_template_option_that_changes_nothing_is_refused(base: Base, tmp_path: Path) -> None:
    av = view(writers.easynla_av(base, tmp_path / "iter_0001000"), base.directory)
    facts = PairFacts(template_options={"enable_thinking": False})
    with pytest.raises(CheckpointError, match="enable_thinking: its chat template takes no notice"):
        TransformersVerbalizer(av, injection=ADDED, facts=facts)


def test_nla_train(base: Base, tmp_path: Path) -> None:
    av = writers.kameshkanna_av(base, tmp_path / "final")
    ids, slots = prompt_ids(base, writers.chat(base, AV_TEMPLATE.format(injection_char=MARKER)))
    expected = greedy(adapted(base, av), ids, slots, VECTORS[None], "11.5")
    assert answers(view(av, base.directory)) == expected
    assert read_sidecar(view(av, base.directory)).dialect == "nla-train"


@pytest.mark.parametrize("family", ["qwen2", "gemma4"])
def test_plain_text_without_templates(family: str, tmp_path: Path) -> None:
    """Of gemma 4 a token's other inputs stay those of the marker: only its embedding is replaced."""
    base = Base(tiny_checkpoint(family, tmp_path / "base", seed=1))
    av = writers.gemma_av(base, tmp_path / "av")
    facts = PairFacts(av_template=writers.RAW_TEMPLATE, marker=MARKER, chat=False)
    ids, slots = prompt_ids(base, writers.RAW_TEMPLATE.format(injection_char=MARKER), special=True)
    writers.out_of_wrapper(av, tmp_path / "plain")
    expected = greedy(adapted(base, tmp_path / "plain"), ids, slots, VECTORS[None], str(math.sqrt(D_MODEL)))
    assert answers(view(av, base.directory), facts=facts) == expected
    assert len({tuple(one) for one in expected}) > 1, "the vectors must matter"
    with pytest.raises(CheckpointError, match=r"prompt_templates\.av: found nothing"):
        read_sidecar(view(av, base.directory))


def test_a_verbalizer_of_one_block_whose_prompt_begins_the_answer(base: Base, tmp_path: Path) -> None:
    av = writers.at_home_single(base, tmp_path / "av")
    ids, slots = prompt_ids(base, writers.chat(base, writers.SINGLE_TEMPLATE.format(injection_char=MARKER)))
    expected = greedy(adapted(base, av), ids, slots, VECTORS[None], "150")
    assert answers(view(av, base.directory)) == expected
    found = read_sidecar(view(av, base.directory))
    assert (found.dialect, found.layer) == ("nla-at-home", LAYER)


def test_a_verbalizer_of_every_block_is_told_the_depth(base: Base, tmp_path: Path) -> None:
    av = view(writers.at_home_av(base, tmp_path / "av", BLOCKS), base.directory)
    # 100 * 2 / 4 is as near to 47 as nothing else of the buckets.
    text = writers.DEPTH_TEMPLATE.format(depth_pct=47, injection_char=MARKER)
    ids, slots = prompt_ids(base, writers.chat(base, text))
    expected = greedy(adapted(base, tmp_path / "av"), ids, slots, VECTORS[None], "150")
    assert answers(av, facts=PairFacts(layer=LAYER)) == expected
    meta = tmp_path / "av/nla_meta.yaml"
    said = meta.read_text()
    meta.write_text(said.replace("injection_mode: normalize", "injection_mode: add"))
    with pytest.raises(CheckpointError, match=r"training\.injection_mode: found 'add'"):
        read_sidecar(av, facts=PairFacts(layer=LAYER))
    meta.write_text(said)
    with pytest.raises(
        CheckpointError, match=r"reads every block, 0\.\.3: say which one as models\.pair\.layer"
    ):
        read_sidecar(av)
    with pytest.raises(CheckpointError, match=r"blocks 0\.\.3, and 4 was asked for"):
        read_sidecar(av, facts=PairFacts(layer=4))


@pytest.mark.parametrize("slots", [1, 3])
def test_an_activation_oracle_answers_a_question(tmp_path: Path, slots: int) -> None:
    base = writers.oracle_base(tmp_path / "oracle_base")
    adapter = writers.adapter(base, tmp_path / "oracle", target_modules="all-linear")
    question = "What is this {about}"
    content = f"Layer: {LAYER}\n" + " ?" * slots + f" \n{question}"
    ids = base.tokenizer.encode(writers.chat(base, content), add_special_tokens=False)
    (marker,) = base.tokenizer.encode(" ?", add_special_tokens=False)
    at = [index for index, token in enumerate(ids) if token == marker]
    assert len(at) == slots
    vectors = np.random.default_rng(5).standard_normal((3, slots, D_MODEL)).astype(np.float32)
    expected = greedy(adapted(base, adapter), ids, at, vectors.transpose(1, 0, 2), "add")
    given = vectors[:, 0] if slots == 1 else vectors
    injection = ADDED if slots == 1 else f"{ADDED},slots={slots}"
    facts = PairFacts(layer=LAYER, question=question)
    assert answers(view(adapter, base.directory), given, injection=injection, facts=facts) == expected
    assert not read_sidecar(view(adapter, base.directory), injection=injection, facts=facts).tagged


def test_an_adapter_without_sidecar_is_not_guessed(base: Base, tmp_path: Path) -> None:
    oracle = view(writers.adapter(base, tmp_path / "oracle"), base.directory)
    with pytest.raises(CheckpointError, match=r"no nla_meta\.yaml"):
        read_sidecar(oracle)
    with pytest.raises(CheckpointError, match="told the block that its vectors are of"):
        read_sidecar(oracle, facts=PairFacts(question="What?"))
    with pytest.raises(CheckpointError, match="nothing tells how this AV was given its vectors"):
        read_sidecar(oracle, facts=PairFacts(question="What?", layer=LAYER))
