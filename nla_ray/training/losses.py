"""Losses as pure functions of tensors. Shapes: B rows, T tokens, V vocabulary, D width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def inverse_document_frequency(rows: Sequence[Sequence[int]], vocab: int) -> torch.Tensor:
    """[V] log(rows / rows that hold the token): 0 for a token of every row, and for one that never occurs."""
    counts = torch.zeros(vocab)
    for row in rows:
        counts[torch.tensor(sorted(set(row)))] += 1
    return torch.where(counts > 0, (len(rows) / counts.clamp(min=1)).log(), 0.0)


def bag_loss(
    logits_BTV: torch.Tensor,
    ids_BT: torch.Tensor,
    lengths_B: torch.Tensor,
    horizon: int,
    weights_V: torch.Tensor,
) -> torch.Tensor:
    """Cross-entropy of each position's logits against the weighted bag of the row's next `horizon` tokens.

    A token's share of the bag is its weight (`inverse_document_frequency`) over the bag's sum; the loss is a
    mean over positions whose bag weighs anything.
    """
    coming_BTH = F.pad(ids_BT, (0, horizon)).unfold(1, horizon, 1)[:, 1:]
    at_TH = torch.arange(ids_BT.shape[1])[:, None] + torch.arange(1, horizon + 1)
    inside_BTH = at_TH.to(ids_BT.device) < lengths_B[:, None, None]
    weights_BTH = weights_V[coming_BTH] * inside_BTH
    totals_BT = weights_BTH.sum(-1)
    logp_BTH = F.log_softmax(logits_BTV.float(), -1).gather(2, coming_BTH)
    losses_BT = -(logp_BTH * weights_BTH).sum(-1) / totals_BT.clamp(min=1e-3)
    return losses_BT.sum() / (totals_BT > 0).sum().clamp(min=1)


def mse_rows(predicted_BD: torch.Tensor, vectors_BD: torch.Tensor) -> torch.Tensor:
    """`mse_nrm` of each row [B]: 2 (1 - cos), in [0, 4]."""
    cos_B = F.cosine_similarity(predicted_BD.float(), vectors_BD.float(), dim=-1, eps=1e-12)
    return 2.0 * (1.0 - cos_B)
