"""Losses as pure functions of tensors. Shapes: B rows, T tokens, V vocabulary, D width."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F


def next_token_loss(logits_BTV: torch.Tensor, labels_BT: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of token t+1 given logits at t; labels of -100 do not count."""
    return F.cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1).float(), labels_BT[:, 1:].flatten(), ignore_index=-100
    )


def inverse_document_frequency(rows: Sequence[Sequence[int]], vocab: int) -> torch.Tensor:
    """[V] log(rows / rows that hold the token): 0 for a token of every row, and for one that never occurs."""
    counts = torch.zeros(vocab)
    for row in rows:
        counts[torch.tensor(sorted(set(row)))] += 1
    return torch.where(counts > 0, (len(rows) / counts.clamp(min=1)).log(), 0.0)


def bag_targets(
    ids_BT: torch.Tensor, lengths_B: torch.Tensor, horizon: int, weights_V: torch.Tensor
) -> torch.Tensor:
    """[B, T, V] weighted share of each token among a row's next `horizon` tokens; zeros where none follow."""
    onehot_BTV = F.one_hot(ids_BT, len(weights_V)) * weights_V
    inside_BT1 = (torch.arange(ids_BT.shape[1], device=ids_BT.device) < lengths_B[:, None])[..., None]
    sums_BTV = (onehot_BTV * inside_BT1).cumsum(1)
    after = torch.arange(ids_BT.shape[1], device=ids_BT.device) + horizon
    counts_BTV = sums_BTV[:, after.clamp(max=ids_BT.shape[1] - 1)] - sums_BTV
    return counts_BTV / counts_BTV.sum(-1, keepdim=True).clamp(min=1e-3)


def bag_loss(logits_BTV: torch.Tensor, targets_BTV: torch.Tensor) -> torch.Tensor:
    """Cross-entropy against a bag of coming words (`bag_targets`), averaged over positions that have any."""
    losses_BT = -(targets_BTV * F.log_softmax(logits_BTV.float(), -1)).sum(-1)
    return losses_BT.sum() / (targets_BTV.sum(-1) > 0.5).sum().clamp(min=1)


def mse_nrm(predicted_BD: torch.Tensor, vectors_BD: torch.Tensor) -> torch.Tensor:
    """Mean squared error per element with both sides at norm sqrt(D): 2 (1 - cos), in [0, 4]."""
    root = math.sqrt(vectors_BD.shape[-1])
    predicted, wanted = F.normalize(predicted_BD.float(), dim=-1), F.normalize(vectors_BD.float(), dim=-1)
    return F.mse_loss(predicted * root, wanted * root)
