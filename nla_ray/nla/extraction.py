"""Activations of a target: the output of block K at chosen positions, with nothing computed above K."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedConfig

from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.model.backbone import load_config, text_config
from nla_ray.nla.model.batching import Ids, length_buckets, pad_right, refuse_foreign_ids
from nla_ray.nla.model.blocks.cut import block_output, check_cut
from nla_ray.nla.model.blocks.held import Held, Lent, over_base
from nla_ray.nla.model.blocks.stack import find_stack, hidden

if TYPE_CHECKING:
    from nla_ray.nla.model.adapters.merge import Adapter


class Extractor:
    """Blocks 0..max(layers) of a target, and the vectors that they leave in the residual stream.

    Layer K means the output of block K, `hidden_states[K+1]` of transformers (before the final norm, also
    where K is the last block). Vectors are raw: never normalised, never scaled.
    """

    def __init__(
        self,
        directory: str | Path,
        layers: Sequence[int],
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        batch_tokens: int = 2048,
        trust_remote_code: bool = False,
    ) -> None:
        """`batch_tokens` bounds rows x longest row of one forward pass (measured best on CPU: 1024 to 2048).

        Raises CheckpointError for a layer that the target does not have, and as `load_backbone` does.
        """
        config = load_config(directory, trust_remote_code=trust_remote_code)
        _check_layers(layers, config.num_hidden_layers, directory)
        held = Held(Path(directory), max(layers) + 1, dtype, torch.device(device), trust_remote_code)
        self._take(held, layers, config, batch_tokens)

    @classmethod
    def within(
        cls, model: Any, layers: Sequence[int], source: object, *, batch_tokens: int = 2048
    ) -> Extractor:
        """Of a whole causal LM that is loaded: its own blocks are run, so no weight is in memory twice.

        Raises CheckpointError as above, and where its cut stack does not give what its last block gives.
        """
        stack, config = find_stack(model, source), text_config(model.config)
        _check_layers(layers, len(stack.blocks), source)
        top = max(layers)
        wanted = block_output(stack, top, source)
        view = stack.view(top + 1)
        check_cut(view, wanted, source)
        extractor = cls.__new__(cls)
        extractor._take(Lent(view.body), layers, config, batch_tokens)
        return extractor

    def _take(
        self, held: Held | Lent, layers: Sequence[int], config: PreTrainedConfig, batch_tokens: int
    ) -> None:
        self._held, self.layers, self._batch_tokens = held, tuple(layers), batch_tokens
        self._adapters: tuple[Adapter, ...] | None = None
        self.d_model: int = config.hidden_size
        self._vocab_size: int = config.vocab_size
        self._device: torch.device = next(find_stack(held.model).embedding.parameters()).device

    def beside(self, directory: str | Path) -> Extractor:
        """An extractor of the same layers of another model over the same base, which is held once for both.

        The two are adapters of one base, or one of them is that base. Their vectors are those of extractors
        of their own; a pass takes longer. Raises CheckpointError for an adapter that does not fit, and where
        the model is lent by what runs it whole.
        """
        if isinstance(self._held, Lent):
            raise CheckpointError(f"{directory}: its base is run whole by what answers; load it by itself")
        if self._adapters is None:
            self._adapters = self._held.shared()
        other = copy.copy(self)
        other._adapters = self._held.adapters_of(Path(directory))
        return other

    @torch.inference_mode()
    def extract(self, token_ids: Sequence[Ids], positions: Sequence[Ids]) -> list[npt.NDArray[np.float32]]:
        """Vectors of each document at its positions: float32 [n_positions, n_layers, d_model].

        Positions count tokens from 0, in any order; layers stand in the order they were asked for. A document
        is read up to its last selected position only. Its vectors do not depend on the other documents but
        for the rounding of a differently shaped matrix product (about 1e-5 of their norm in float32).
        Raises InputError naming the document for a position that it does not have or an id that is no token.
        """
        _check_positions(token_ids, positions)
        lengths = [1 + max(chosen) if len(chosen) else 0 for chosen in positions]
        cut = [ids[:length] for ids, length in zip(token_ids, lengths, strict=True)]
        refuse_foreign_ids(cut, self._vocab_size, "document")
        vectors = [np.empty((0, len(self.layers), self.d_model), np.float32) for _ in token_ids]
        for bucket in length_buckets(lengths, self._batch_tokens):
            chosen = [np.asarray(positions[i], dtype=np.int64) for i in bucket]
            found_NLD = self._forward([cut[i] for i in bucket], chosen)
            ends = np.cumsum([len(part) for part in chosen])[:-1]
            for i, part in zip(bucket, np.split(found_NLD, ends), strict=True):
                vectors[i] = part
        return vectors

    def _forward(
        self, rows: Sequence[Ids], positions: Sequence[npt.NDArray[np.int64]]
    ) -> npt.NDArray[np.float32]:
        """All selected vectors of one batch, [positions, layers, d_model]; only they leave the device."""
        row_index = np.repeat(np.arange(len(rows)), [len(part) for part in positions])
        where = torch.from_numpy(np.stack([row_index, np.concatenate(positions)])).to(self._device)
        model = self._held.model
        with over_base(model, self._adapters), _selected_outputs(model, self.layers, where) as found:
            model(input_ids=pad_right(rows, self._device), use_cache=False)
        vectors: npt.NDArray[np.float32] = torch.stack([found[k] for k in self.layers], dim=1).cpu().numpy()
        return vectors


@contextmanager
def _selected_outputs(
    model: Any, layers: Sequence[int], where: torch.Tensor
) -> Iterator[dict[int, torch.Tensor]]:
    """Collect the outputs [n, d] of some blocks at `where` = (rows, positions) while the model runs."""
    found: dict[int, torch.Tensor] = {}

    def hook_of(layer: int) -> Any:
        def keep(_module: object, _inputs: object, output: Any) -> None:
            found[layer] = hidden(output)[where[0], where[1]].float()

        return keep

    blocks = find_stack(model).blocks
    handles = [blocks[k].register_forward_hook(hook_of(k)) for k in set(layers)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _check_layers(layers: Sequence[int], blocks: int, directory: object) -> None:
    if not layers:
        raise CheckpointError(f"{directory}: no layer asked for; name at least one of 0..{blocks - 1}")
    for layer in layers:
        if not 0 <= layer < blocks:
            raise CheckpointError(
                f"{directory}: layer K={layer} is out of range: the model has {blocks} blocks, "
                f"allowed 0..{blocks - 1}"
            )


def _check_positions(token_ids: Sequence[Ids], positions: Sequence[Ids]) -> None:
    if len(token_ids) != len(positions):
        raise InputError(f"{len(token_ids)} documents but {len(positions)} lists of positions; give one each")
    for index, (ids, chosen) in enumerate(zip(token_ids, positions, strict=True)):
        if len(chosen) and (min(chosen) < 0 or max(chosen) >= len(ids)):
            wrong = min(chosen) if min(chosen) < 0 else max(chosen)
            allowed = f"allowed 0..{len(ids) - 1}" if len(ids) else "it is empty"
            raise InputError(
                f"document {index}: position {wrong} is out of range: it has {len(ids)} tokens, {allowed}"
            )
