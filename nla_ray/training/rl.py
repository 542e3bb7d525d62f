"""Joint reinforcement learning: GRPO on the verbalizer, one step of the reconstructor on the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from nla_ray import ids
from nla_ray.config.reinforce import Reinforce
from nla_ray.errors import InputError, TrainingError
from nla_ray.nla.batching import pad_right
from nla_ray.nla.fidelity import Baseline
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training import grpo
from nla_ray.training.guards import Watch
from nla_ray.training.learner import FVE, Metrics
from nla_ray.training.loop import cosine
from nla_ray.training.models import TrainableAR, TrainableAV, autocast
from nla_ray.training.rollout import Rollout, Sampler, draw
from nla_ray.training.world import World, clip, full_state, plain, syncing

_ADAM_BETAS = (0.9, 0.98)


@dataclass(frozen=True)
class Vectors:
    """Raw activations [n, D], finite and not zero, and a name for each that no other has."""

    values: np.ndarray
    names: list[str]

    def take(self, rows: list[int]) -> Vectors:
        """Some of them, in this order."""
        return Vectors(self.values[rows], [self.names[row] for row in rows])

    def tensor(self, world: World) -> torch.Tensor:
        """The activations on the device of this rank."""
        return torch.from_numpy(np.ascontiguousarray(self.values, dtype=np.float32)).to(world.device)


@dataclass(frozen=True)
class Models:
    """What training moves, and what it must stay close to; each as `world.prepare` returned it."""

    av: nn.Module
    ar: nn.Module
    reference: nn.Module
    """The verbalizer that training started from; it has no gradients."""


class RlLearner:
    """A `Learner`. Activations of step n, their answers and the learning rates follow from n and the seed."""

    def __init__(
        self,
        models: Models,
        sampler: Sampler,
        train: Vectors,
        held_out: Vectors,
        baseline: Baseline,
        settings: Reinforce,
        *,
        seed: int = 0,
        world: World | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`baseline` is the denominator of every `fve_nrm`. Raises InputError for too few vectors."""
        self.world = world or World()
        if settings.vectors % self.world.size:
            raise InputError(
                f"rl.vectors: {settings.vectors} a step do not divide among {self.world.size} workers"
            )
        if len(train.names) < max(2, settings.vectors) or len(held_out.names) < 2:
            raise InputError(
                f"rl: {len(train.names)} activations to train on and {len(held_out.names)} held out; "
                f"{max(2, settings.vectors)} and 2 are needed at least"
            )
        self.models, self.sampler, self.train, self.held_out = models, sampler, train, held_out
        self.settings, self.seed, self.dtype, self.steps = settings, seed, dtype, settings.steps
        self.baseline = baseline
        self.optimizers = {
            "av": _adam(models.av, settings.av_lr),
            "ar": _adam(models.ar, settings.ar_lr),
        }
        self.watch = Watch(settings.guards)

    @cached_property
    def av(self) -> TrainableAV:
        """The verbalizer without its wrapper."""
        model = plain(self.models.av)
        if not isinstance(model, TrainableAV):
            raise TypeError(type(model).__name__)
        return model

    @cached_property
    def ar(self) -> TrainableAR:
        """The reconstructor without its wrapper."""
        model = plain(self.models.ar)
        if not isinstance(model, TrainableAR):
            raise TypeError(type(model).__name__)
        return model

    def step(self, n: int) -> Metrics:
        """One step of both models. Raises TrainingError when a guard trips or a loss is not finite."""
        mine, others = self._vectors_of(n)
        self._hand_over()
        answers = self._draw(mine, f"{n}", self.settings.group)
        factor = cosine(n, self.steps, self.settings.warmup)
        read = self._read(answers, mine, others, factor)
        moved = self._reinforce(answers, mine, read, factor)
        metrics = self._summary(answers, read, moved)
        self.watch.check(n, metrics)
        return metrics

    def evaluate(self) -> Metrics:
        """`fve_nrm` of one answer to every held-out activation, and of the same for other activations."""
        self._hand_over()
        mine = self.held_out.take(list(range(self.world.rank, len(self.held_out.names), self.world.size)))
        answers = self._draw(mine, "held-out", 1)
        vectors_BD = mine.tensor(self.world)
        with torch.no_grad():
            predicted_BD = torch.cat(
                [self._predict(answers.texts[at]) for at in self._parts(len(answers.texts))]
            )
        own_B = grpo.mse_rows(predicted_BD, vectors_BD)
        other_B = grpo.mse_rows(predicted_BD, vectors_BD.roll(max(1, len(vectors_BD) // 2), 0))
        sums = [own_B.sum(), other_B.sum(), (~answers.finished_B).sum(), answers.lengths_B.sum(), len(own_B)]
        own, other, unclosed, tokens, count = self._totals(sums)
        return {
            FVE: self._fve(own / count), "shuffled": self._fve(other / count),
            "unclosed": unclosed / count, "mean_tokens": tokens / count,
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """See `Learner`."""
        return {"av": self.models.av, "ar": self.models.ar} | {
            f"{name}_optimizer": optimizer for name, optimizer in self.optimizers.items()
        }

    def _vectors_of(self, n: int) -> tuple[Vectors, torch.Tensor]:
        """This rank's activations of step n, and for each another activation of the step."""
        size = self.settings.vectors
        rows = [_row(self.seed, n * size + at, len(self.train.names)) for at in range(size)]
        chosen = self.train.take(rows)
        others = np.roll(chosen.values, size // 2, axis=0)
        mine = list(range(self.world.rank, size, self.world.size))
        return chosen.take(mine), Vectors(others[mine], []).tensor(self.world)

    def _hand_over(self) -> None:
        weights = full_state(self.models.av)
        self.sampler.update({name.removeprefix("lm."): tensor for name, tensor in weights.items()})

    def _draw(self, vectors: Vectors, occasion: str, samples: int) -> Rollout:
        names = [f"{occasion}|{name}" for name in vectors.names]
        sampling = Sampling(max_new_tokens=self.settings.max_new_tokens, seed=self.seed, logps=True)
        return draw(self.sampler, vectors.values, names, sampling, samples)

    def _predict(self, texts: list[str]) -> torch.Tensor:
        prompts = self.ar.prompts(texts)
        lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=self.world.device)
        with autocast(self.world.device, self.dtype):
            predicted_BD: torch.Tensor = self.models.ar(pad_right(prompts, self.world.device), lengths_B)
        return predicted_BD

    def _read(self, answers: Rollout, mine: Vectors, others: torch.Tensor, factor: float) -> _Read:
        """What the AR reads in the answers, and its own step on those that were finished."""
        group = self.settings.group
        vectors_BD, others_BD = (
            each.repeat_interleave(group, 0) for each in (mine.tensor(self.world), others)
        )
        finished_B = answers.finished_B.to(self.world.device)
        (count,) = self._totals([finished_B.sum()])
        own, other = [], []
        for at, last in _with_last(self._parts(len(finished_B))):
            with syncing(self.models.ar, last):
                predicted_BD = self._predict(answers.texts[at])
                errors_B = grpo.mse_rows(predicted_BD, vectors_BD[at])
                loss = (errors_B * finished_B[at]).sum() / max(count, 1) * self.world.size
                loss.backward()  # type: ignore[no-untyped-call]
            own.append(errors_B.detach())
            other.append(grpo.mse_rows(predicted_BD.detach(), others_BD[at]))
        norm = self._move("ar", self.models.ar, self.settings.ar_lr * factor)
        return _Read(torch.cat(own), torch.cat(other), finished_B, norm)

    def _reinforce(self, answers: Rollout, mine: Vectors, read: _Read, factor: float) -> _Moved:
        """The policy gradient step of the AV."""
        settings, device = self.settings, self.world.device
        tokens_BT, lengths_B = answers.tokens_BT.to(device), answers.lengths_B.to(device)
        sampled_BT = answers.sampled_BT.to(device)
        vectors_BD = mine.tensor(self.world).repeat_interleave(settings.group, 0)
        rewards_B = grpo.reward(
            read.own_B, read.other_B, read.finished_B, lengths_B,
            log=settings.reward.log, contrast=settings.reward.contrast,
            length_penalty=settings.reward.length_penalty,
        )  # fmt: skip
        gains_B = grpo.advantages(rewards_B.view(-1, settings.group)).flatten()
        inside_BT = grpo.inside(lengths_B, tokens_BT.shape[1])
        (count,) = self._totals([lengths_B.sum()])
        sums = torch.zeros(4, device=device)
        for at, last in _with_last(self._parts(len(tokens_BT))):
            here = (vectors_BD[at], tokens_BT[at], lengths_B[at])
            with syncing(self.models.av, last), autocast(device, self.dtype):
                logp_BT = self.models.av(*here)
                with torch.no_grad():
                    reference_BT = self.models.reference(*here)
                policy_BT = grpo.policy_loss(logp_BT, sampled_BT[at], gains_B[at], settings.clip)
                kl_BT = grpo.kl(logp_BT, reference_BT)
                loss_BT = (policy_BT + settings.kl * kl_BT) * inside_BT[at]
                (loss_BT.sum() / count * self.world.size).backward()  # type: ignore[no-untyped-call]
            log_ratio_BT = (logp_BT.detach() - sampled_BT[at]) * inside_BT[at]
            ratio_BT = torch.exp(log_ratio_BT) * inside_BT[at]
            sums += torch.stack(
                (
                    loss_BT.detach().sum(),
                    (kl_BT.detach() * inside_BT[at]).sum(),
                    ratio_BT.sum(),
                    log_ratio_BT.abs().sum(),
                )
            )
        norm = self._move("av", self.models.av, settings.av_lr * factor)
        loss, divergence, ratio, distance = (value / count for value in self._totals(list(sums)))
        return _Moved(rewards_B, loss, divergence, ratio, distance, count, norm)

    def _move(self, name: str, model: nn.Module, lr: float) -> float:
        """Clip, step, and forget the gradients; their norm before clipping."""
        norm = clip(model, self.settings.clip_norm)
        if not np.isfinite(norm):
            raise TrainingError(f"rl: the gradient of the {name.upper()} is {norm}; lower rl.{name}_lr")
        optimizer = self.optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return norm

    def _summary(self, answers: Rollout, read: _Read, moved: _Moved) -> Metrics:
        rows = len(answers.judged)
        finished_B = read.finished_B
        sums = [
            moved.rewards_B.sum(), moved.rewards_B.view(-1, self.settings.group).std(1, correction=0).sum(),
            (read.own_B * finished_B).sum(), (read.other_B * finished_B).sum(), finished_B.sum(),
            answers.share("loop") * rows, answers.cjk * rows, rows,
        ]  # fmt: skip
        reward, spread, own, other, finished, loops, cjk, count = self._totals(sums)
        fve, shuffled = (self._fve(each / max(finished, 1)) for each in (own, other))
        return {
            "reward": reward / count, "reward_spread": spread * self.settings.group / count,
            "answers_fve_nrm": fve, "shuffled": shuffled, "gap": fve - shuffled,
            "unclosed": 1 - finished / count, "loops": loops / count, "cjk": cjk / count,
            "mean_tokens": moved.tokens / count, "tokens": moved.tokens,
            "loss": moved.loss, "kl": moved.kl, "ratio": moved.ratio, "log_ratio": moved.log_ratio,
            "av_norm": moved.norm, "ar_norm": read.norm,
        }  # fmt: skip

    def _fve(self, mse: float) -> float:
        return 1 - mse / self.baseline.value

    def _parts(self, rows: int) -> list[slice]:
        size = self.settings.micro_batch
        return [slice(at, min(at + size, rows)) for at in range(0, rows, size)]

    def _totals(self, values: list[Any]) -> list[float]:
        """Sums over ranks."""
        mine = torch.tensor([float(value) for value in values], dtype=torch.float64, device=self.world.device)
        found: list[float] = self.world.total(mine).tolist()
        return found


@dataclass(frozen=True)
class _Read:
    """`mse_nrm` of the AR's reading against the own and another activation [B]; the AR's gradient norm."""

    own_B: torch.Tensor
    other_B: torch.Tensor
    finished_B: torch.Tensor
    norm: float


@dataclass(frozen=True)
class _Moved:
    """Rewards [B] of this rank; means over the tokens of all ranks; their number; the AV's gradient norm."""

    rewards_B: torch.Tensor
    loss: float
    kl: float
    ratio: float
    log_ratio: float
    tokens: float
    norm: float


def _adam(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr, betas=_ADAM_BETAS, weight_decay=0.0)


def _row(seed: int, at: int, n: int) -> int:
    """Row at place `at` of the endless sequence of permutations of n rows."""
    return _permutation(seed, at // n, n)[at % n]


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, n: int) -> list[int]:
    key = int(ids.digest("rl", seed, epoch)[:16], 16)
    order: list[int] = np.random.default_rng(key).permutation(n).tolist()
    return order


def _with_last(parts: list[slice]) -> Iterator[tuple[slice, bool]]:
    for index, part in enumerate(parts):
        yield part, index == len(parts) - 1
