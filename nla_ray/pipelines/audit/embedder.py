"""Sentences as vectors, for detectors by similarity: any transformers encoder, mean-pooled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer, BatchEncoding

from nla_ray.config.models.reference import ModelRef
from nla_ray.errors import CheckpointError
from nla_ray.models import directory_of
from nla_ray.nla.model.adapters.contents import CONFIG_NAME
from nla_ray.nla.model.backbone import alone
from nla_ray.nla.model.files.weights import SafetensorsDir
from nla_ray.pipelines.provenance import ModelRecord, model_record

TEXTS_AT_ONCE = 64
LONGEST = 512
"""Tokens of a text that are read, where the model allows as many."""


class Embedder:
    """An encoder on the CPU in float32; its weights are loaded when the first text comes."""

    def __init__(self, ref: ModelRef) -> None:
        """Raises CheckpointError where the reference leads to an adapter, or to nothing in safetensors."""
        self._ref = ref
        self._directory = directory_of(ref)
        if (self._directory / CONFIG_NAME).exists():
            # transformers would load whatever model, by whatever path, its configuration names as the base.
            raise CheckpointError(
                f"{ref}: an adapter (LoRA), which is not loaded as an embedder; merge it and name the outcome"
            )
        SafetensorsDir(self._directory)

    @property
    def record(self) -> ModelRecord:
        """Which encoder it is."""
        return model_record(self._ref, self._directory)

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors [N, D]: the mean of the last layer over the tokens, at norm 1; zero without a token.

        Equal texts have equal vectors. Raises CheckpointError for a model that cannot be loaded or run.
        """
        model, tokenizer, width = self._loaded
        ids = dict(zip(texts, _ids(tokenizer, texts), strict=True))
        # Of like length, so that little is padded; in an order that does not hang on the caller's.
        distinct = sorted((text for text in ids if ids[text]), key=lambda text: (len(ids[text]), text))
        vectors = np.zeros((len(distinct) + 1, width), dtype=np.float32)
        for start in range(0, len(distinct), TEXTS_AT_ONCE):
            batch = [ids[text] for text in distinct[start : start + TEXTS_AT_ONCE]]
            vectors[start : start + len(batch)] = self._pooled(model, _padded(tokenizer, batch))
        places = {text: place for place, text in enumerate(distinct)}
        return vectors[[places.get(text, -1) for text in texts]]

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        """The model, its tokenizer, and numbers in a vector."""
        return _load(self._directory, trust_remote_code=self._ref.trust_remote_code)

    @torch.inference_mode()
    def _pooled(self, model: Any, batch: BatchEncoding) -> npt.NDArray[np.float32]:
        states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        vectors = torch.nn.functional.normalize((states * mask).sum(dim=1) / mask.sum(dim=1), dim=1)
        if not vectors.isfinite().all():
            raise CheckpointError(f"{self._ref}: gives vectors that are not finite; use another encoder")
        found: npt.NDArray[np.float32] = vectors.numpy()
        return found


def _load(directory: Path, *, trust_remote_code: bool) -> tuple[Any, Any, int]:
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    try:
        with alone():
            tokenizer = AutoTokenizer.from_pretrained(directory, **common)
            model, report = AutoModel.from_pretrained(
                directory, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **common
            )
        model = model.eval().requires_grad_(False)
        width = model(input_ids=torch.zeros((1, 1), dtype=torch.long)).last_hidden_state.shape[-1]
    # A configuration, a tokenizer, code from the checkpoint: each fails in its own way.
    except Exception as error:
        brief = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{directory}: not an encoder that can be used: {type(error).__name__}: {brief}"
        ) from error
    if model.config.is_encoder_decoder:
        raise CheckpointError(f"{directory}: {model.config.model_type} has a decoder too; name an encoder")
    # A pooler is not asked, and many checkpoints leave it out.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise CheckpointError(
            f"{directory}: {len(missing)} tensors are missing, the first is {missing[0]}; download it again"
        )
    return model, _prepared(tokenizer, model, directory), width


def _prepared(tokenizer: Any, model: Any, directory: Path) -> Any:
    """The tokenizer, with a length and a padding that the model can take."""
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise CheckpointError(f"{directory}: its tokenizer has no padding token; add one")
        tokenizer.pad_token = tokenizer.eos_token
    most = getattr(model.config, "max_position_embeddings", LONGEST)
    tokenizer.model_max_length = min(LONGEST, tokenizer.model_max_length, most)
    return tokenizer


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    found: list[list[int]] = tokenizer(list(texts), truncation=True)["input_ids"]
    return found


def _padded(tokenizer: Any, batch: Sequence[Sequence[int]]) -> BatchEncoding:
    with alone():
        padded: BatchEncoding = tokenizer.pad({"input_ids": batch}, return_tensors="pt")
    return padded
