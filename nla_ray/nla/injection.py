"""Put vectors at the marker's place: which can be, their scale, every kind and site of injection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from nla_ray.config.models.injection import Injection
from nla_ray.errors import EngineError
from nla_ray.nla.model.blocks.stack import Stack, find_stack

Put = Callable[[torch.Tensor], torch.Tensor]


def unusable(vectors: np.ndarray) -> list[str | None]:
    """Per row of `vectors` [n, d] or [n, slots, d]: why it cannot be injected (zero, NaN, infinite), or None.

    A row of several vectors can be injected if each of them can.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    vectors = vectors[:, None] if vectors.ndim == 2 else vectors
    finite = np.isfinite(vectors).all(axis=(1, 2))
    zero = np.any(np.all(vectors == 0, axis=2), axis=1)
    reasons = np.where(zero, "the vector is zero", np.where(finite, "", "the vector holds NaN or infinity"))
    return [reason or None for reason in reasons.tolist()]


def centred(vectors: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    """The vectors [..., d] without the mean [d] of a centred injection, in float32; as they are for None."""
    return vectors if mean is None else np.asarray(vectors, np.float32) - mean


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


def injected(states_BD: torch.Tensor, vectors_BD: torch.Tensor, injection: Injection) -> torch.Tensor:
    """What the markers' states [..., d] become with these vectors; in float32, then of the states' type."""
    at_scale_BD = rescale(vectors_BD, injection.scale)
    if injection.kind == "replace":
        return at_scale_BD.to(states_BD.dtype)
    full_BD = states_BD.float()
    if injection.kind == "add_matched":
        at_scale_BD = at_scale_BD * full_BD.norm(dim=-1, keepdim=True)
    return (full_BD + at_scale_BD).to(states_BD.dtype)


def stacked(
    vectors: Sequence[np.ndarray | None], shape: tuple[int, int, int], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of this `shape`, (rows, slots, width), and whether a row has some, [rows, 1].

    None is none, as are rows behind those given.
    """
    raw_BSD, live_B = np.ones(shape, dtype=np.float32), np.zeros(shape[0], dtype=bool)
    for row, vector in enumerate(vectors):
        if vector is not None:
            raw_BSD[row], live_B[row] = vector, True
    return torch.from_numpy(raw_BSD).to(device), torch.from_numpy(live_B).to(device)[:, None]


@contextmanager
def injecting(
    body: Any,
    injection: Injection,
    embeds_BTD: torch.Tensor,
    slots: Sequence[int],
    vectors_BSD: torch.Tensor,
    live_B1: torch.Tensor | None = None,
) -> Iterator[torch.Tensor]:
    """The embeddings [B, T, D] to run the decoder stack `body` on in this context, once.

    The vectors, [B, slots, D] or for one slot [B, D], then stand at the positions `slots`, but for rows where
    `live_B1` is false: these keep the markers' own states. They are centred already. `embeds_BTD` are as the
    first block sees them: families that multiply theirs by sqrt(d) (Gemma) have done so, and a vector is not
    multiplied again. Raises EngineError for other vectors than there are slots.
    """
    put = _putting(injection, slots, vectors_BSD, live_B1)
    if injection.block is None:
        yield put(embeds_BTD)
        return
    with _hooked(find_stack(body), injection, put):
        yield embeds_BTD


@contextmanager
def injecting_ids(
    stack: Stack,
    injection: Injection,
    slots: Sequence[int],
    vectors_BSD: torch.Tensor,
    live_B1: torch.Tensor | None = None,
) -> Iterator[None]:
    """The same for a stack that is run on token ids in this context, once: the embedding itself is hooked.

    Some families look up more by the tokens than their embeddings, and cannot do so for a vector.
    """
    with _hooked(stack, injection, _putting(injection, slots, vectors_BSD, live_B1)):
        yield


def _putting(
    injection: Injection, slots: Sequence[int], vectors_BSD: torch.Tensor, live_B1: torch.Tensor | None
) -> Put:
    each_BSD = vectors_BSD[:, None] if vectors_BSD.ndim == 2 else vectors_BSD
    if not each_BSD.shape[1] == len(slots) == injection.slots:
        raise EngineError(
            f"{injection}: {each_BSD.shape[1]} vectors for {len(slots)} markers; give {injection.slots}"
        )
    at = torch.tensor(slots, device=vectors_BSD.device)

    def put(hidden_BTD: torch.Tensor) -> torch.Tensor:
        state_BSD = hidden_BTD[:, at]
        there_BSD = injected(state_BSD, each_BSD, injection)
        hidden_BTD = hidden_BTD.clone()
        if live_B1 is not None:
            there_BSD = torch.where(live_B1[:, None], there_BSD, state_BSD)
        hidden_BTD[:, at] = there_BSD
        return hidden_BTD

    return put


@contextmanager
def _hooked(stack: Stack, injection: Injection, put: Put) -> Iterator[None]:
    module = stack.embedding if injection.block is None else stack.blocks[injection.block]
    hook = _hook(module, put, before=injection.site == "input")
    try:
        yield
    finally:
        hook.remove()


def _hook(module: torch.nn.Module, put: Put, *, before: bool) -> Any:
    """Let `put` change what goes into a module or comes out of it; blocks take and give [B, T, D] first."""

    def enter(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if args:
            return (put(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": put(kwargs["hidden_states"])}

    def leave(_: Any, __: Any, output: Any) -> Any:
        return (put(output[0]), *output[1:]) if isinstance(output, tuple) else put(output)

    if before:
        return module.register_forward_pre_hook(enter, with_kwargs=True)
    return module.register_forward_hook(leave)
