"""Joint reinforcement learning: GRPO on the verbalizer, one step of the reconstructor on the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from nla_ray.config.training.reinforce import Reinforce
from nla_ray.errors import InputError, TrainingError
from nla_ray.nla.model.batching import pad_right
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.data import Floats, Order
from nla_ray.training.heldout import HeldOut, fve_of_answers
from nla_ray.training.loop.learner import Metrics
from nla_ray.training.loop.optim import Trained, adamw, cosine
from nla_ray.training.lora import whole_state, without_adapters
from nla_ray.training.losses import mse_rows
from nla_ray.training.models import TrainableAR, TrainableAV, autocast
from nla_ray.training.reinforce import grpo
from nla_ray.training.reinforce.guards import Watch
from nla_ray.training.reinforce.rollout import Rollout, Sampler, draw
from nla_ray.training.saved.release import of_lm
from nla_ray.training.sft import Setting
from nla_ray.training.world import plain, prepare, syncing


class Activations(Protocol):
    """Raw vectors to train on, finite and not zero."""

    def __len__(self) -> int: ...

    def vectors(self, rows: npt.NDArray[np.int64]) -> Floats:
        """[n, D] of these rows."""
        ...


class RlLearner:
    """A `Learner`. Activations of step n, their answers and the learning rates follow from n and the seed."""

    def __init__(
        self,
        av: TrainableAV,
        ar: TrainableAR,
        reference: TrainableAV | None,
        sampler: Sampler,
        train: Activations,
        held_out: HeldOut,
        options: Reinforce,
        setting: Setting,
    ) -> None:
        """`reference` is the verbalizer that training started from; it does not move.

        None: `av` without its adapters, so that there is no second copy.
        Raises InputError for too few activations.
        """
        world = setting.world
        enough = max(2, options.vectors)
        if len(train) < enough or len(held_out) < world.size:
            raise InputError(
                f"rl: {len(train)} activations to train on and {len(held_out)} held out; at least "
                f"{enough} and {world.size} are needed"
            )
        self.steps, self.options, self.setting, self.world = options.steps, options, setting, world
        self.sampler, self.train, self.prompts = sampler, train, ar.prompts
        # Every rank must make as many passes as the others.
        self.held_out = held_out.first(len(held_out) - len(held_out) % world.size)
        self.order = Order(len(train), options.vectors, setting.seed)
        self.av, self.ar = self._prepared(av), self._prepared(ar)
        self.reference = self.av.model if reference is None else self._frozen(reference)
        self.watch = Watch(options.guards)

    def _prepared(self, model: nn.Module) -> Trained:
        prepared = prepare(model, self.world, self.setting.parallel)
        return Trained(prepared, adamw(prepared, weight_decay=0.0))

    def _frozen(self, reference: nn.Module) -> nn.Module:
        frozen = reference.requires_grad_(False)
        if self.setting.parallel == "ddp":
            return frozen.to(self.world.device)
        return prepare(frozen, self.world, "fsdp2")

    def step(self, n: int) -> Metrics:
        """One step of both models. Raises TrainingError when a guard trips or a gradient is not finite."""
        batch = self._batch(n)
        self.sampler.update(self._weights())
        answers = self._draw(n, batch)
        factor = cosine(n, self.steps, min(self.options.warmup, self.steps // 4))
        read = self._read(answers, batch, factor)
        moved = self._reinforce(answers, batch, read, factor)
        metrics = self._summary(answers, read, moved)
        self.watch.check(n, metrics)
        return metrics

    def evaluate(self) -> Metrics:
        """`fve_nrm` of one answer to every held-out activation, and of the same for other activations."""
        sampling = Sampling(max_new_tokens=self.options.max_new_tokens, seed=self.setting.seed)
        return fve_of_answers(
            self.sampler, self._weights(), self, self.held_out, self.setting.baseline, sampling, self.world
        )

    def held_out_texts(self) -> list[str]:
        """The answers that `evaluate` measured last: one to each of this rank's held-out activations."""
        sampling = Sampling(max_new_tokens=self.options.max_new_tokens, seed=self.setting.seed)
        mine = self.held_out.part(self.world.rank, self.world.size)
        return draw(self.sampler, mine.vectors, mine.names, sampling, 1).texts

    @torch.no_grad()
    def reconstruct(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """What the AR reads in texts now, [n, D]; all ranks call it with as many."""
        read = [self._predict(texts[part]) for part in self._parts(len(texts))]
        found: npt.NDArray[np.float32] = torch.cat(read).cpu().numpy()
        return found

    def state(self) -> dict[str, Any]:
        """See `Learner`."""
        return {"av": self.av, "ar": self.ar}

    def _weights(self) -> Mapping[str, torch.Tensor]:
        return of_lm(whole_state(self.av.model))

    def _batch(self, n: int) -> _Batch:
        """This rank's activations of step n, and for each another activation of the step."""
        rows = self.order.of(n)
        mine = slice(self.world.rank, None, self.world.size)
        others = np.roll(rows, len(rows) // 2)
        both = [
            torch.from_numpy(self.train.vectors(each[mine])).to(self.world.device) for each in (rows, others)
        ]
        return _Batch(rows[mine], *both)

    def _draw(self, n: int, batch: _Batch) -> Rollout:
        names = [f"step {n}|{row}" for row in batch.rows]
        sampling = Sampling(max_new_tokens=self.options.max_new_tokens, seed=self.setting.seed, logps=True)
        return draw(self.sampler, batch.vectors_VD.cpu().numpy(), names, sampling, self.options.group)

    def _predict(self, texts: list[str]) -> torch.Tensor:
        prompts, device = self.prompts(texts), self.world.device
        lengths_B = torch.tensor([len(prompt) for prompt in prompts], device=device)
        with autocast(device, self.setting.dtype):
            predicted_BD: torch.Tensor = self.ar.model(pad_right(prompts, device), lengths_B)
        return predicted_BD

    def _read(self, answers: Rollout, batch: _Batch, factor: float) -> _Read:
        """What the AR reads in the answers, and its own step on those that were finished."""
        vectors_BD, others_BD = batch.repeated(self.options.group)
        finished_B = answers.finished_B.to(self.world.device)
        (count,) = self._totals([finished_B.sum()])
        own_B, other_B = vectors_BD.new_empty(2, len(finished_B))
        for at, last in self._alike(answers):
            with syncing(self.ar.model, last):
                predicted_BD = self._predict([answers.texts[row] for row in at.tolist()])
                errors_B = mse_rows(predicted_BD, vectors_BD[at])
                loss = (errors_B * finished_B[at]).sum() / max(count, 1) * self.world.size
                loss.backward()  # type: ignore[no-untyped-call]
            own_B[at] = errors_B.detach()
            other_B[at] = mse_rows(predicted_BD.detach(), others_BD[at])
        norm = self._move("ar", self.ar, self.options.ar_lr * factor)
        return _Read(own_B, other_B, finished_B, norm)

    def _reinforce(self, answers: Rollout, batch: _Batch, read: _Read, factor: float) -> _Moved:
        """The policy gradient step of the AV."""
        options, device = self.options, self.world.device
        tokens_BT, lengths_B = answers.tokens_BT.to(device), answers.lengths_B.to(device)
        sampled_BT = answers.sampled_BT.to(device)
        vectors_BD, _ = batch.repeated(options.group)
        rewards_B = grpo.reward(
            read.own_B, read.other_B, read.finished_B, lengths_B,
            log=options.reward.log, contrast=options.reward.contrast,
            length_penalty=options.reward.length_penalty,
        )  # fmt: skip
        gains_B = grpo.advantages(rewards_B.view(-1, options.group)).flatten()
        (count,) = self._totals([lengths_B.sum()])
        sums = torch.zeros(4, device=device)
        for at, last in self._alike(answers):
            longest = int(lengths_B[at].max())
            here = (vectors_BD[at], tokens_BT[at, :longest], lengths_B[at])
            with syncing(self.av.model, last), autocast(device, self.setting.dtype):
                with torch.no_grad(), without_adapters(self.reference):
                    reference_BT = plain(self.reference)(*here)
                logp_BT = self.av.model(*here)
                policy_BT = grpo.policy_loss(logp_BT, sampled_BT[at, :longest], gains_B[at], options.clip)
                loss_BT = policy_BT + options.kl * grpo.kl_loss(logp_BT, reference_BT)
                inside_BT = grpo.inside(lengths_B[at], longest)
                ((loss_BT * inside_BT).sum() / count * self.world.size).backward()  # type: ignore[no-untyped-call]
            logp_BT, change_BT = logp_BT.detach(), logp_BT.detach() - sampled_BT[at, :longest]
            seen = (loss_BT.detach(), grpo.kl(logp_BT, reference_BT), change_BT.exp(), change_BT.abs())
            sums += torch.stack([(one_BT * inside_BT).sum() for one_BT in seen])
        norm = self._move("av", self.av, options.av_lr * factor)
        loss, divergence, ratio, distance = (value / count for value in self._totals(list(sums)))
        return _Moved(rewards_B, loss, divergence, ratio, distance, count, norm)

    def _move(self, name: str, trained: Trained, rate: float) -> float:
        """A step along the gradients; their norm before clipping."""
        norm = trained.move(rate, self.options.clip_norm)
        if not np.isfinite(norm):
            raise TrainingError(f"rl: the gradient of the {name.upper()} is {norm}; lower rl.{name}_lr")
        return norm

    def _summary(self, answers: Rollout, read: _Read, moved: _Moved) -> Metrics:
        rows = len(answers.judged)
        finished_B = read.finished_B
        sums = [
            moved.rewards_B.sum(), moved.rewards_B.view(-1, self.options.group).std(1, correction=0).sum(),
            (read.own_B * finished_B).sum(), (read.other_B * finished_B).sum(), finished_B.sum(),
            answers.share("loop") * rows, answers.cjk * rows, rows,
        ]  # fmt: skip
        reward, spread, own, other, finished, loops, cjk, count = self._totals(sums)
        fve, shuffled = (self._fve(each / max(finished, 1)) for each in (own, other))
        return {
            "reward": reward / count, "reward_spread": spread * self.options.group / count,
            "answers_fve_nrm": fve, "shuffled": shuffled, "gap": fve - shuffled,
            "unclosed": 1 - finished / count, "loops": loops / count, "cjk": cjk / count,
            "mean_tokens": moved.tokens / count, "tokens": moved.tokens,
            "loss": moved.loss, "kl": moved.kl, "ratio": moved.ratio, "log_ratio": moved.log_ratio,
            "av_norm": moved.norm, "ar_norm": read.norm,
        }  # fmt: skip

    def _fve(self, mse: float) -> float:
        return 1 - mse / self.setting.baseline.value

    def _alike(self, answers: Rollout) -> Iterator[tuple[torch.Tensor, bool]]:
        """The answers in parts of about the same length, which are hardly padded; whether it is the last."""
        order = answers.lengths_B.argsort(stable=True).to(self.world.device)
        parts = self._parts(len(order))
        return ((order[at], at is parts[-1]) for at in parts)

    def _parts(self, rows: int) -> list[slice]:
        size = self.options.micro_batch
        return [slice(at, min(at + size, rows)) for at in range(0, rows, size)]

    def _totals(self, values: list[Any]) -> list[float]:
        """Sums over ranks."""
        mine = torch.tensor([float(value) for value in values], dtype=torch.float64, device=self.world.device)
        found: list[float] = self.world.total(mine).tolist()
        return found


@dataclass(frozen=True)
class _Batch:
    """This rank's rows of a step, their vectors [V, D], and for each another vector of the step."""

    rows: npt.NDArray[np.int64]
    vectors_VD: torch.Tensor
    others_VD: torch.Tensor

    def repeated(self, group: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Both, a row per answer."""
        return self.vectors_VD.repeat_interleave(group, 0), self.others_VD.repeat_interleave(group, 0)


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
