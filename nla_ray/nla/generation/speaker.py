"""A language model that writes: with its head, its tokenizer, and the tokens that end an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch

from nla_ray.errors import CheckpointError
from nla_ray.nla.generation.writer import Writer
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.model.stops import stop_ids
from nla_ray.nla.prompt import load_tokenizer


class Speaker:
    """A causal language model, loaded."""

    chats: ClassVar[bool] = False
    """Whether it cannot do without a chat template."""

    def __init__(
        self,
        directory: Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        trust_remote_code: bool = False,
    ) -> None:
        """Raises CheckpointError for what cannot be loaded, without a stop token or a needed template, and as
        `Writer` does.
        """
        self._tokenizer = load_tokenizer(directory, trust_remote_code=trust_remote_code)
        if self.chats and self._tokenizer.chat_template is None:
            raise CheckpointError(f"{directory}: no chat template; take a model that was tuned for chat")
        self._model: Any = load_causal_lm(
            directory, dtype=dtype, device=device, trust_remote_code=trust_remote_code
        )
        self._writer = Writer(self._model, stop_ids(self._model, self._tokenizer, directory), directory)
