"""What a stage takes over from another run's beside it: what is equal, and never what differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nla_ray.config.decode import DecodeConfig
from nla_ray.stages.score import ScoreStage
from nla_ray.stages.verbalize import VerbalizeStage
from tests.conftest import NlaDirs


def test_other_facts_load_anew_and_another_target_does_not(nla: Callable[[str], NlaDirs]) -> None:
    target, av, ar = map(str, nla("qwen2"))

    def config(**models: object) -> DecodeConfig:
        named = {"target": target, "av": av, "ar": ar}
        return DecodeConfig.model_validate(
            {"output": "out", "models": named | models, "corpus": {"paths": ["a.jsonl"], "text": "text"}}
        )

    told, elsewhere = config(pair={"prefill": "<text>"}), config(target=av)
    kinds: list[tuple[Any, str]] = [(VerbalizeStage, "_verbalizer"), (ScoreStage, "_reconstructor")]
    for kind, part in kinds:
        first, other, beside = kind(config()), kind(told), kind(elsewhere)
        first.setup()
        other.setup_beside(first)
        beside.setup_beside(first)
        assert getattr(other, part) is not getattr(first, part)
        assert getattr(beside, part) is getattr(first, part)
