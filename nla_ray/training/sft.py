"""Warm start: the reconstructor on (text, vector), the verbalizer on (vector, text), with a shuffled twin.

Both are a `Learner`; what differs is a `Task`: how rows become a summed loss and what they are divided by.
Shapes: B rows, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nla_ray.config.training.train import Supervised
from nla_ray.errors import InputError, TrainingError
from nla_ray.nla.model.batching import pad_right
from nla_ray.nla.outcomes import CLOSE, OPEN
from nla_ray.nla.prompt import ar_template_parts
from nla_ray.nla.reconstruction.fidelity import Baseline
from nla_ray.training.data import Examples, Floats, Order
from nla_ray.training.heldout import HeldOut
from nla_ray.training.loop.learner import FVE, Metrics
from nla_ray.training.loop.optim import Trained, adamw, cosine
from nla_ray.training.losses import mse_rows
from nla_ray.training.models import TrainableAR, TrainableAV, autocast, end_of_turn
from nla_ray.training.world import Parallel, World, prepare, syncing

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """Texts as token ids, and what a loss over them is divided by: rows or tokens."""

    ids: list[list[int]]
    weight: float

    def tensors(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """ids_BT, padded on the right, and lengths_B."""
        return pad_right(self.ids, device), torch.tensor([len(one) for one in self.ids], device=device)

    @property
    def tokens(self) -> int:
        return sum(len(one) for one in self.ids)


class Task(Protocol):
    """What a model learns from a row."""

    def said(self, explanation: str) -> str:
        """The text that stands in the tables for an explanation."""
        ...

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Texts of the tables for this model."""
        ...

    def loss(self, model: nn.Module, encoded: Encoded, vectors_BD: torch.Tensor) -> torch.Tensor:
        """Summed loss of the rows."""
        ...


class Reading:
    """The reconstructor: `mse_nrm` = 2 (1 - cos) between its reading of the prompt and the vector."""

    def __init__(self, model: TrainableAR) -> None:
        self._tokenizer, self._around = model.tokenizer, ar_template_parts(model.sidecar)

    def said(self, explanation: str) -> str:
        """The explanation inside the template."""
        return explanation.join(self._around)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Prompts with the special tokens that the tokenizer adds."""
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=True)["input_ids"]
        return Encoded(ids, float(len(ids)))

    def loss(self, model: nn.Module, encoded: Encoded, vectors_BD: torch.Tensor) -> torch.Tensor:
        """See `Task`; a row counts one."""
        return mse_rows(model(*encoded.tensors(vectors_BD.device)), vectors_BD).sum()


class Writing:
    """The verbalizer: cross-entropy of the answer's tokens and of the one that ends its turn."""

    def __init__(self, model: TrainableAV) -> None:
        self._tokenizer, self._end = model.tokenizer, end_of_turn(model)

    def said(self, explanation: str) -> str:
        """The explanation between its tags."""
        return f"{OPEN}\n{explanation}\n{CLOSE}"

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Answers with the token that ends them."""
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        ended = [[*one, self._end] for one in ids]
        return Encoded(ended, float(sum(len(one) for one in ended)))

    def loss(self, model: nn.Module, encoded: Encoded, vectors_BD: torch.Tensor) -> torch.Tensor:
        """See `Task`; a token counts one."""
        logp_BT: torch.Tensor = model(vectors_BD, *encoded.tensors(vectors_BD.device))
        return -logp_BT.sum()


@dataclass(frozen=True)
class Setting:
    """What the stages of a training share."""

    world: World
    dtype: torch.dtype
    seed: int
    parallel: Parallel
    baseline: Baseline


class Sft:
    """A `Learner` of either model. `twin` learns the same texts from other rows' vectors, or is None."""

    def __init__(
        self,
        model: TrainableAR | TrainableAV,
        twin: TrainableAR | TrainableAV | None,
        task: Task,
        split: Examples,
        held_out: HeldOut,
        options: Supervised,
        setting: Setting,
        fidelity: Callable[[nn.Module], Metrics] | None = None,
    ) -> None:
        """`fidelity` measures `fve_nrm`; without it, the task's held-out loss is an `mse_nrm` (an AR's)."""
        self.steps, self.task, self.split, self.options, self.setting = (
            options.steps, task, split, options, setting,
        )  # fmt: skip
        self.held_out, self._fidelity = held_out.with_text(), fidelity
        if not len(self.held_out):
            raise InputError(f"data.held_out: none of its rows has an api_explanation for {split.name}")
        self.order = Order(len(split), options.batch, setting.seed)
        self.others = split.others(setting.seed)
        self.trained = [self._prepared(one) for one in (model, twin) if one is not None]

    @property
    def model(self) -> nn.Module:
        """The model as `prepare` left it."""
        return self.trained[0].model

    def step(self, n: int) -> Metrics:
        """See `Learner`. Raises TrainingError where a gradient is not finite."""
        world = self.setting.world
        rows = self._by_length(self.order.of(n, world.rank, world.size))
        factor = cosine(n, self.steps, min(self.options.warmup, self.steps // 4))
        encoded = [
            self.task.encode([text or "" for text in self.split.texts(part)]) for part in self._parts(rows)
        ]
        mine = torch.tensor([sum(one.weight for one in encoded), sum(one.tokens for one in encoded)])
        weight, tokens = world.total(mine.double().to(world.device)).tolist()
        own, norm = self._learn(self.trained[0], rows, encoded, weight, factor)
        metrics = {"loss": own, "grad_norm": norm, "lr": self.options.lr * factor, "tokens": tokens}
        if len(self.trained) > 1:
            twin, _ = self._learn(self.trained[1], self.others[rows], encoded, weight, factor)
            metrics |= {"twin_loss": twin, "gap": twin - own}
        return metrics

    def evaluate(self) -> Metrics:
        """Held-out loss, that of the shuffled twin (or of this model with other rows' vectors), the gap."""
        own = self._held_out_loss(self.model, self.held_out.vectors)
        shuffled = self._held_out_loss(self.trained[-1].model, self.held_out.others)
        metrics = {"loss": own, "shuffled_loss": shuffled, "gap": shuffled - own}
        if self._fidelity is not None:
            return metrics | self._fidelity(self.model)
        value = self.setting.baseline.value
        return metrics | {FVE: 1 - own / value, "shuffled": 1 - shuffled / value}

    def state(self) -> dict[str, Any]:
        """See `Learner`."""
        return dict(zip(("model", "twin"), self.trained, strict=False))

    def _prepared(self, model: nn.Module) -> Trained:
        prepared = prepare(model, self.setting.world, self.setting.parallel)
        return Trained(prepared, adamw(prepared, self.options.weight_decay))

    def _learn(
        self, trained: Trained, rows: Rows, encoded: list[Encoded], weight: float, factor: float
    ) -> tuple[float, float]:
        """One optimiser step: the loss over the global batch, and the gradient's norm before clipping."""
        world = self.setting.world
        total = torch.zeros((), dtype=torch.float64, device=world.device)
        for at, part in enumerate(self._parts(rows)):
            vectors_BD = torch.from_numpy(self.split.vectors(part)).to(world.device)
            with syncing(trained.model, at == len(encoded) - 1):
                with autocast(world.device, self.setting.dtype):
                    loss = self.task.loss(trained.model, encoded[at], vectors_BD)
                (loss * (world.size / weight)).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        norm = trained.move(self.options.lr * factor, self.options.clip)
        if not np.isfinite(norm):
            raise TrainingError(
                f"{self.split.name}: the gradient is {norm}; lower the learning rate ({self.options.lr:g}), "
                "or take dtype: float32"
            )
        return float(world.total(total)) / weight, norm

    @torch.no_grad()
    def _held_out_loss(self, model: nn.Module, vectors: Floats) -> float:
        """Mean over held-out rows or tokens; all ranks make as many passes, some with a row that counts 0."""
        world, size = self.setting.world, self.options.micro_batch
        sums = torch.zeros(2, dtype=torch.float64, device=world.device)
        count = len(self.held_out)
        for first in range(0, count, size * world.size):
            rows = list(range(first + world.rank, min(count, first + size * world.size), world.size))
            counts, chosen = (1.0, rows) if rows else (0.0, [0])
            encoded = self.task.encode(self._said(chosen))
            here_BD = torch.from_numpy(vectors[chosen]).to(world.device)
            with autocast(world.device, self.setting.dtype):
                loss = self.task.loss(model, encoded, here_BD)
            sums += counts * torch.tensor([float(loss), encoded.weight], device=world.device)
        loss_sum, weight = world.total(sums).tolist()
        return float(loss_sum / weight)

    def _said(self, rows: list[int]) -> list[str]:
        return [self.task.said(self.held_out.texts[row] or "") for row in rows]

    def _by_length(self, rows: Rows) -> Rows:
        """Rows of about the same length side by side: a part of them is then hardly padded."""
        return rows[np.argsort([len(text or "") for text in self.split.texts(rows)], kind="stable")]

    def _parts(self, rows: Rows) -> list[Rows]:
        size = self.options.micro_batch
        return [rows[first : first + size] for first in range(0, len(rows), size)]
