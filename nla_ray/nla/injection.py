"""Put a vector in place of the marker's embedding: which vectors can be, their scale, the overwrite."""

from __future__ import annotations

import numpy as np
import torch


def unusable(vectors: np.ndarray) -> list[str | None]:
    """Per row of `vectors` [n, d]: why it cannot be injected (zero, NaN, infinite), or None."""
    vectors = np.asarray(vectors, dtype=np.float32)
    finite, zero = np.isfinite(vectors).all(axis=1), ~vectors.any(axis=1)
    reasons = np.where(zero, "the vector is zero", np.where(finite, "", "the vector holds NaN or infinity"))
    return [reason or None for reason in reasons.tolist()]


def rescale(vectors_BD: torch.Tensor, scale: float | None) -> torch.Tensor:
    """The rows at L2 norm `scale`, or as they are for None; float32, whatever comes in.

    The norm is taken after dividing by the largest element, so that it neither overflows nor vanishes.
    A row must be finite and not zero (see `unusable`).
    """
    vectors_BD = vectors_BD.float()
    if scale is None:
        return vectors_BD
    unit_BD = vectors_BD / vectors_BD.abs().amax(dim=-1, keepdim=True)
    rescaled_BD: torch.Tensor = unit_BD * (scale / unit_BD.norm(dim=-1, keepdim=True))
    return rescaled_BD


def inject(embeds_TD: torch.Tensor, slot: int, vectors_BD: torch.Tensor) -> torch.Tensor:
    """[B, T, D]: one copy of the prompt's embeddings per vector, the one at `slot` overwritten by it.

    `embeds_TD` are the embeddings as the first block sees them. Families that multiply theirs by sqrt(d)
    (Gemma) have done so by then, and the vector is not multiplied again.
    """
    embeds_BTD = embeds_TD.expand(vectors_BD.shape[0], -1, -1).clone()
    embeds_BTD[:, slot] = vectors_BD.to(embeds_BTD.dtype)
    return embeds_BTD
