"""Which decoder serves a model: decided by what it is made of, and proven against its own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from nla_ray.errors import CheckpointError, EngineError
from nla_ray.nla.engines.packing import pack
from nla_ray.nla.engines.plain import PlainDecoder
from nla_ray.nla.engines.slots import SlotDecoder
from nla_ray.nla.model.blocks.cut import FAULTS, logits_apart, tolerance
from nla_ray.nla.model.slots import attention

Kind = Literal["slots", "plain"]

_STEPS = 3


class Choice:
    """A causal LM and the two ways to bind it to its prompt and injection."""

    def __init__(
        self, model: Any, slots: Callable[[], SlotDecoder], plain: Callable[[], PlainDecoder], source: object
    ) -> None:
        self._model, self._slots, self._plain, self._source = model, slots, plain, source

    def decide(self) -> Kind:
        """`slots` where these give the logits of the model itself, else `plain`; the model is made ready.

        Both are held to one run over all tokens without a cache: after the prompt, with a vector and with
        none, and after a few more tokens. Raises CheckpointError where neither gives its logits.
        """
        reference, model = self._plain(), self._model
        shape = (len(reference.slots), reference.d_model)
        vector = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        vectors = [vector, None][: reference.group]
        tokens = reference.prompt_T[:_STEPS].tolist()
        try:
            wanted = reference.whole(vectors, tokens)
        except torch.OutOfMemoryError:
            raise
        except FAULTS as error:
            raise CheckpointError(
                f"{self._source}: {model.config.model_type}: cannot be run on its prompt: "
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            ) from error
        if attention.serves(model) and self._slots_differ(vectors, tokens, wanted) <= tolerance(model.dtype):
            pack(model)
            return "slots"
        found = logits_apart(reference.probe(vectors, tokens), wanted)
        if found > tolerance(model.dtype):
            raise CheckpointError(
                f"{self._source}: {model.config.model_type}: decoding step by step gives other logits than "
                f"one run over all tokens (they differ by {found:.2g} of the norm); no engine serves this "
                "architecture: use another model"
            )
        return "plain"

    def _slots_differ(
        self, vectors: list[np.ndarray | None], tokens: list[int], wanted: torch.Tensor
    ) -> float:
        """Infinite where slot attention cannot run the model. What differs leaves the model as it was."""
        own, found = self._model.config._attn_implementation, float("inf")
        attention.attend_by(self._model, attention.NAME)
        try:
            found = logits_apart(self._slots().probe(vectors, tokens), wanted)
        except torch.OutOfMemoryError:
            raise
        except (*FAULTS, EngineError):
            pass
        if found > tolerance(self._model.dtype):
            attention.attend_by(self._model, own)
        return found
