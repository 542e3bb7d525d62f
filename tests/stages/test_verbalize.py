"""Runs that share a worker: a verbalizer is shared where everything that is known of it is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nla_ray.config.decode import DecodeConfig
from nla_ray.stages.verbalize import VerbalizeStage
from tests.conftest import NlaDirs


def test_one_that_is_read_by_other_facts_is_not_shared(nla: Callable[[str], NlaDirs]) -> None:
    target, av, _ = nla("qwen2")

    def stage(**models: Any) -> VerbalizeStage:
        named = {"target": str(target), "av": str(av)} | models
        values = {"output": "out", "models": named, "corpus": {"paths": ["in.jsonl"], "text": "text"}}
        return VerbalizeStage(DecodeConfig.model_validate(values))

    first, same, other = stage(), stage(), stage(pair={"prefill": "<explanation>"})
    first.setup()
    same.setup_beside(first)
    other.setup_beside(first)
    assert same._verbalizer is first._verbalizer
    assert other._verbalizer is not first._verbalizer
