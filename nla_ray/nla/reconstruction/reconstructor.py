"""The reconstructor (AR): explanations back into vectors, in batches that share their template's prefix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import DynamicCache, PreTrainedConfig

from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.model.adapters.view import layers_of
from nla_ray.nla.model.backbone import kept_whole, load_backbone, load_config
from nla_ray.nla.model.batching import Ids, length_buckets, pad_right, refuse_foreign_ids
from nla_ray.nla.model.blocks.cut import apart, tolerance
from nla_ray.nla.model.blocks.stack import cache_keyword, cached_by_attention
from nla_ray.nla.model.files.weights import SafetensorsDir
from nla_ray.nla.model.heads.head import open_value_head
from nla_ray.nla.model.heads.placeholders import check_placeholders
from nla_ray.nla.prompt import ar_prompt_ids, check_ar_suffix, load_tokenizer
from nla_ray.nla.sidecar.read import Sidecar, check_ar_depth, check_width, read_sidecar

# What explanations may start with; the prefix that all of them leave alone is shared, each row is checked.
_PROBES = ("The text", "a", "\n", "“7", "<b>")


class Reconstructor:
    """Blocks of the AR (0..K, without a final norm, but where its files say otherwise), and its value head.

    The head reads the last token of the prompt.
    """

    def __init__(
        self,
        directory: str | Path,
        sidecar: Sidecar | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        batch_tokens: int = 2048,
        facts: PairFacts | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        """`sidecar` takes the place of the directory's own; `batch_tokens` bounds rows x longest of a batch.

        `facts` are said beside the sidecar.

        Raises CheckpointError when the sidecar, tokenizer, blocks or value head do not belong together, for
        a head with non-finite values, and for weights that turn a short text into NaN or infinity.
        """
        directory = Path(directory)
        self.sidecar = sidecar or read_sidecar(directory, role="ar", facts=facts)
        self.d_model = self.sidecar.d_model
        config = load_config(directory, trust_remote_code=trust_remote_code)
        whole = layers_of(directory) is not None
        check_depth(self.sidecar, config, whole=whole)
        check_width(self.sidecar, config.hidden_size)
        self._vocab_size: int = config.vocab_size
        if not (whole or self.sidecar.facts.ar_norm):
            check_placeholders(SafetensorsDir(directory), self.d_model)
        self._weight, self._bias = _load_head(directory, self.sidecar, device)
        self._tokenizer = load_tokenizer(directory, trust_remote_code=trust_remote_code)
        self._batch_tokens = batch_tokens
        self._device = torch.device(device)
        self._model: Any = load_backbone(
            directory,
            layers=self.sidecar.ar_blocks,
            final_norm=self.sidecar.facts.ar_norm is True,
            dtype=dtype,
            device=device,
            trust_remote_code=trust_remote_code,
        )
        probes = ar_prompt_ids(self._tokenizer, self.sidecar, _PROBES)
        check_ar_suffix(probes[0], self.sidecar)
        refuse_foreign_ids(probes, self._vocab_size, f"{directory}: prompt")
        self.prefix: tuple[int, ...] = ()
        plain_ND = self.reconstruct_ids(probes)
        if not np.isfinite(plain_ND).all():
            raise CheckpointError(
                f"{directory}: a short text becomes a vector with NaN or infinity; its weights are damaged, "
                f"or too large for {dtype}: download it again"
            )
        self._share(_common_prefix(probes), probes, torch.from_numpy(plain_ND))

    def reconstruct(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vector that each explanation describes, float32 [n, d_model]; its norm means nothing."""
        return self.reconstruct_ids(ar_prompt_ids(self._tokenizer, self.sidecar, texts))

    @torch.inference_mode()
    def reconstruct_ids(self, prompts: Sequence[Ids]) -> npt.NDArray[np.float32]:
        """The same from whole prompts as token ids (template and special tokens included).

        Prompts that start with `prefix` share its keys and values, others are run in full: same result.
        Raises InputError naming the prompt for an empty one or an id that is no token.
        """
        refuse_foreign_ids(prompts, self._vocab_size, "prompt")
        if empty := [index for index, ids in enumerate(prompts) if not len(ids)]:
            raise InputError(f"prompt {empty[0]}: it is empty; a prompt holds the template at least")
        vectors = np.empty((len(prompts), self.d_model), dtype=np.float32)
        shared, whole = self._split(prompts)
        for indices, skip in ((shared, len(self.prefix)), (whole, 0)):
            rows = [prompts[i][skip:] for i in indices]
            for bucket in length_buckets([len(row) for row in rows], self._batch_tokens):
                found = self._forward([rows[i] for i in bucket], with_prefix=skip > 0)
                vectors[[indices[i] for i in bucket]] = found
        return vectors

    def _share(self, prefix: tuple[int, ...], probes: Sequence[Ids], plain_ND: torch.Tensor) -> None:
        """Run the prefix once for all prompts, where that gives the vectors of whole runs, `plain_ND`."""
        if not prefix or not cached_by_attention(self._model):
            return
        self.prefix, self._prefix_kv = prefix, self._prefill(prefix)
        if apart(torch.from_numpy(self.reconstruct_ids(probes)), plain_ND) > tolerance(self._model.dtype):
            self.prefix = ()

    def _split(self, prompts: Sequence[Ids]) -> tuple[list[int], list[int]]:
        """Indices of the prompts that go on after the shared prefix, and of the others."""
        shared: list[int] = []
        whole: list[int] = []
        size = len(self.prefix)
        for index, ids in enumerate(prompts):
            goes_on = 0 < size < len(ids) and tuple(ids[:size]) == self.prefix
            (shared if goes_on else whole).append(index)
        return shared, whole

    def _forward(self, rows: Sequence[Ids], *, with_prefix: bool) -> npt.NDArray[np.float32]:
        """Vectors [rows, d_model] of one batch, read at each row's last token."""
        ids_BT = pad_right(rows, self._device)
        cache = self._shared_cache(len(rows)) if with_prefix else None
        hidden_BTD = self._run(ids_BT, cache)
        last = torch.tensor([len(row) - 1 for row in rows], device=self._device)
        read_BD = hidden_BTD[torch.arange(len(rows), device=self._device), last].float()
        vectors: npt.NDArray[np.float32] = functional.linear(read_BD, self._weight, self._bias).cpu().numpy()
        return vectors

    def _run(self, ids_BT: torch.Tensor, cache: DynamicCache | None) -> torch.Tensor:
        """What block K gives, [B, T, D]; the cache, if any, holds what came before."""
        given = {} if cache is None else {cache_keyword(self._model): cache}
        hidden_BTD: torch.Tensor = self._model(input_ids=ids_BT, use_cache=cache is not None, **given)[0]
        return hidden_BTD

    @torch.inference_mode()
    def _prefill(self, prefix: Sequence[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of the shared prefix per block, [1, kv_heads, prefix, head_dim] each."""
        cache: Any = DynamicCache()
        self._run(pad_right([prefix], self._device), cache)
        return [(layer.keys, layer.values) for layer in cache.layers]

    def _shared_cache(self, rows: int) -> DynamicCache:
        """A fresh cache in which every row has seen the prefix."""
        return DynamicCache(
            [(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in self._prefix_kv]
        )


def check_depth(sidecar: Sidecar, config: PreTrainedConfig, *, whole: bool = False) -> None:
    """Refuse a reconstructor that is not blocks 0..K.

    More are cut off where it is an adapter of a `whole` model, or only the whole can be said of its family.
    Raises CheckpointError.
    """
    whole = whole or kept_whole(config, sidecar.ar_blocks, sidecar.path.parent)
    check_ar_depth(sidecar, config.num_hidden_layers, whole=whole)


def _common_prefix(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """What all rows start with."""
    shortest = min(rows, key=len)
    differs = (i for i, token in enumerate(shortest) if any(row[i] != token for row in rows))
    return tuple(shortest[: next(differs, len(shortest))])


def _load_head(
    directory: Path, sidecar: Sidecar, device: str | torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight [d, d] and bias [d] (None where the file has none) of the value head, in float32."""
    head = open_value_head(directory, sidecar.d_model, sidecar.layer)
    head.check_finite()
    weight, bias = head.tensors()
    return weight.to(device), None if bias is None else bias.to(device)
