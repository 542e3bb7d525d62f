"""Keyed sampling: a token depends on its row's key, its step and its logits, not on a generator's state."""

from __future__ import annotations

import torch

_BLOCK = 64


def uniforms(keys_B: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
    """One float32 in [0, 1) per row: the top 24 bits of SplitMix64 (Steele, Lea, Flood 2014) at key + step.

    Integer arithmetic only (int64, wrapping), so every device gives the same numbers.
    """
    z_B = keys_B + (steps_B + 1) * _signed(0x9E3779B97F4A7C15)
    z_B = (z_B ^ _shift(z_B, 30)) * _signed(0xBF58476D1CE4E5B9)
    z_B = (z_B ^ _shift(z_B, 27)) * _signed(0x94D049BB133111EB)
    z_B = z_B ^ _shift(z_B, 31)
    return _shift(z_B, 40).float() * 2.0**-24


def choose(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature: float, top_p: float
) -> torch.Tensor:
    """Token ids [B]: argmax at temperature 0, else the inverse cumulative distribution at each uniform.

    `top_p` keeps the most likely tokens up to and including the one that reaches that mass.
    """
    if temperature == 0:
        return logits_BV.argmax(dim=-1)
    logits_BV = logits_BV.float()
    probs_BV = torch.softmax(logits_BV if temperature == 1 else logits_BV / temperature, dim=-1)
    if top_p == 1:
        return _invert_blocks(probs_BV, uniforms_B)
    probs_BV, order_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = probs_BV.cumsum(dim=-1) - probs_BV
    probs_BV = probs_BV.masked_fill(before_BV >= top_p, 0.0)
    return order_BV.gather(1, _invert_blocks(probs_BV, uniforms_B)[:, None]).squeeze(1)


def _invert_blocks(probs_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """`_invert` in two levels, block and token within it: faster and less rounded than one long sum."""
    missing = -probs_BV.shape[1] % _BLOCK
    if missing:
        probs_BV = torch.nn.functional.pad(probs_BV, (0, missing))
    probs_BNW = probs_BV.view(len(probs_BV), -1, _BLOCK)
    cdf_BN = probs_BNW.sum(dim=-1).cumsum(dim=-1)
    target_B = uniforms_B * cdf_BN[:, -1]
    block_B = _invert(cdf_BN, target_B)
    rows_B = torch.arange(len(probs_BV), device=probs_BV.device)
    before_B = torch.where(block_B > 0, cdf_BN[rows_B, block_B - 1], 0.0)
    return block_B * _BLOCK + _invert(probs_BNW[rows_B, block_B].cumsum(dim=-1), target_B - before_B)


def _invert(cdf_BN: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
    """Index of the first cumulative sum above the target: what has no probability is never chosen."""
    last_B = cdf_BN[:, -1]
    target_B = torch.minimum(target_B, torch.nextafter(last_B, torch.zeros_like(last_B)))
    return torch.searchsorted(cdf_BN, target_B[:, None], right=True).squeeze(1)


def _shift(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift; torch's own keeps the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >> 63 else constant
