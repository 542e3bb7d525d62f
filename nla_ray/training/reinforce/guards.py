"""Guards of reinforcement learning: what answers may become before training stops."""

from __future__ import annotations

from collections.abc import Mapping

from nla_ray.config.training.reinforce import Guards
from nla_ray.errors import TrainingError


def broken(limits: Guards, metrics: Mapping[str, float]) -> list[str]:
    """One sentence for each limit that the metrics of a step are beyond."""
    low, high = limits.mean_tokens
    checks = {
        f"{metrics['unclosed']:.0%} of the answers are unfinished, {limits.unclosed:.0%} are allowed":
            metrics["unclosed"] > limits.unclosed,
        f"answers have {metrics['mean_tokens']:.1f} tokens on average, {low:g} to {high:g} are allowed":
            not low <= metrics["mean_tokens"] <= high,
        f"{metrics['cjk']:.0%} of the answers are CJK, {limits.cjk:.0%} are allowed":
            metrics["cjk"] > limits.cjk,
        f"{metrics['loops']:.0%} of the answers repeat themselves, {limits.loops:.0%} are allowed":
            metrics["loops"] > limits.loops,
        f"fve_nrm is only {metrics['gap']:.3f} above that of the same texts for other activations, "
        f"{limits.gap:g} is needed: the texts fit everything (try reward.contrast=1)":
            metrics["gap"] < limits.gap,
        f"the mean importance ratio is {metrics['ratio']:.3f}, 1 within {limits.ratio:g} is needed: sampler "
        "and trainer are not the same model or do not inject the same":
            not abs(metrics["ratio"] - 1) <= limits.ratio,
    }  # fmt: skip
    return [sentence for sentence, tripped in checks.items() if tripped]


class Watch:
    """Counts the steps in a row on which a limit was passed."""

    def __init__(self, limits: Guards) -> None:
        self.limits, self.streak = limits, 0

    def check(self, step: int, metrics: Mapping[str, float]) -> None:
        """Raises TrainingError when this is the last step that patience allows."""
        found = broken(self.limits, metrics)
        self.streak = self.streak + 1 if found else 0
        if self.streak >= self.limits.patience:
            raise TrainingError(
                f"rl: stopped at step {step}, {self.streak} steps in a row beyond a guard: "
                f"{'; '.join(found)}; "
                "the last checkpoint stays; lower rl.av_lr, raise rl.kl, or change rl.guards if this is meant"
            )
