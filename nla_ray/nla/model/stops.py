"""The tokens that end an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from nla_ray.errors import CheckpointError


def stop_ids(model: Any, tokenizer: PreTrainedTokenizerBase, directory: Path) -> tuple[int, ...]:
    """Those of the generation config (a number or a list), else the configuration's, else the tokenizer's."""
    generation = getattr(model, "generation_config", None)
    for found in (
        getattr(generation, "eos_token_id", None),
        model.config.eos_token_id,
        tokenizer.eos_token_id,
    ):
        if found is not None:
            ids = found if isinstance(found, list) else [found]
            if not ids or not all(isinstance(one, int) for one in ids):
                raise CheckpointError.field(directory, "eos_token_id", found, "token ids were expected")
            return tuple(ids)
    raise CheckpointError(
        f"{directory}: no stop token in generation_config.json, config.json or the tokenizer; "
        "add eos_token_id to generation_config.json"
    )
