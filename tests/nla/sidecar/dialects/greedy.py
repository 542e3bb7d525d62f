"""Greedy answers by a loop of its own: all tokens at every step, adapters unmerged, injection by a hook."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from peft import PeftModel

from tests.nla.sidecar.dialects.writers import Base, by_peft
from tests.tiny import D_MODEL

VECTORS = np.random.default_rng(3).standard_normal((3, D_MODEL)).astype(np.float32) * 4
TOKENS = 12


def adapted(of: Base, *adapters: Any) -> Any:
    """The base with adapters on it, each by peft and none merged; several as PEFT over a merged one."""
    model = of.model()
    with by_peft():
        for directory in adapters[:-1]:
            model = PeftModel.from_pretrained(model, directory).merge_and_unload()
        for directory in adapters[-1:]:
            model = PeftModel.from_pretrained(model, directory)
    return model.eval()


@torch.no_grad()
def greedy(
    model: Any, ids: list[int], slots: list[int], vectors_NBD: np.ndarray, how: str
) -> list[list[int]]:
    """Answers [B] of TOKENS tokens; vector n of a row goes to slot n. `how`: `add` at block 1, or a norm."""
    given = torch.from_numpy(np.asarray(vectors_NBD))
    units = given / given.norm(dim=-1, keepdim=True)

    def put(hidden_BTD: torch.Tensor) -> torch.Tensor:
        for slot, unit_BD in zip(slots, units, strict=True):
            state_BD = hidden_BTD[:, slot].clone()
            long_BD = state_BD + state_BD.norm(dim=1, keepdim=True) * unit_BD
            hidden_BTD[:, slot] = long_BD if how == "add" else unit_BD * float(how)
        return hidden_BTD

    core = model.get_base_model() if isinstance(model, PeftModel) else model
    place = core.model.layers[1] if how == "add" else core.get_input_embeddings()
    hook = place.register_forward_hook(lambda _, __, output: put(output))
    ids_BT = torch.tensor(ids).repeat(given.shape[1], 1)
    for _ in range(TOKENS):
        ids_BT = torch.cat([ids_BT, model(input_ids=ids_BT).logits[:, -1].argmax(dim=-1)[:, None]], dim=1)
    hook.remove()
    stops = set(core.generation_config.eos_token_id)
    return [_cut(row, stops) for row in ids_BT[:, len(ids) :].tolist()]


def _cut(tokens: list[int], stops: set[int]) -> list[int]:
    ends = [index for index, token in enumerate(tokens) if token in stops]
    return tokens[: ends[0] + 1] if ends else tokens
