"""The table of known pairs: its form, and how a part of a pair is found in it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nla_ray.config.models.injection import Injection
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.config.pairs.known import KnownPair, known_base, known_pair, known_pairs, named_pairs


@pytest.mark.parametrize("pair", known_pairs(), ids=lambda pair: pair.av[0])
def test_every_entry_says_where_it_is_from_and_can_be_used(pair: KnownPair) -> None:
    assert pair.source and (pair.refused is not None or pair.injection is not None or pair.note)
    if pair.injection is not None:
        assert Injection.parse(pair.injection, 64).slots == 1
    for reference in (pair.target, pair.av_on, pair.ar_on):
        assert reference is None or str(ModelRef.parse(reference)) == reference
    for template, slot in (
        (pair.facts.av_template, "{injection_char}"),
        (pair.facts.ar_template, "{explanation}"),
    ):
        assert template is None or template.count(slot) == 1


def test_no_reference_is_in_two_entries() -> None:
    references = [one for pair in known_pairs() for one in (*pair.av, *pair.ar)]
    assert len(references) == len(set(references))


def test_a_part_is_found_by_its_reference() -> None:
    found = known_pair("ceselder/qwen3.6-27b-nla-rl#av_rl_adapters/iter_000300")
    assert found is not None and found[1] == "av" and found[0].injection == "add_matched@output:1"
    assert found[0].facts.template_options == {"enable_thinking": False}
    reconstructor = known_pair("ceselder/qwen3.6-27b-nla-rl#ar_reconstructor")
    assert reconstructor is not None and reconstructor[1] == "ar"
    assert known_pair("ceselder/another") is None
    # A hook of one of its readers replaces; only checkpoints that say addition are known to add.
    assert known_pair("adamkarvonen/checkpoints_latentqa_cls_on_policy_Qwen3-8B") is None
    assert known_pair("adamkarvonen/checkpoints_latentqa_cls_past_lens_addition_Qwen3-8B") is not None


def test_what_an_adapter_sits_on() -> None:
    assert known_base("ceselder/nla-qwen36-27b-matryoshka#rl_av_lora_iter400") == "Qwen/Qwen3.6-27B"
    assert (
        known_base("ceselder/qwen3.6-27b-nla-rl#av_rl_adapters/iter_000300")
        == "ceselder/qwen3.6-27b-nla-rl#av_base"
    )
    assert known_base("owner/name") is None


def test_released_pairs_have_names() -> None:
    assert set(named_pairs()) == {"qwen2.5-7b", "gemma-3-12b", "gemma-3-27b", "llama-3.3-70b"}


def test_facts_over_facts() -> None:
    table = PairFacts(layer=3, prefill="x", template_options={"enable_thinking": False})
    assert PairFacts(layer=4).over(table) == table.model_copy(update={"layer": 4})
    with pytest.raises(ValidationError, match="is no option of a chat template"):
        PairFacts(template_options={"tokenize": True})
