"""Guards name what went wrong, and stop only when it stays wrong."""

from __future__ import annotations

import pytest

from nla_ray.config.training.reinforce import Guards
from nla_ray.errors import TrainingError
from nla_ray.training.reinforce.guards import Watch, broken

FINE = {"unclosed": 0.0, "mean_tokens": 40.0, "cjk": 0.0, "loops": 0.0, "gap": 1.5, "ratio": 1.0}


def test_nothing_is_said_of_healthy_answers() -> None:
    assert broken(Guards(), FINE) == []


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("unclosed", 0.5, "50% of the answers are unfinished"),
        ("mean_tokens", 2.0, "answers have 2.0 tokens"),
        ("mean_tokens", 149.0, "answers have 149.0 tokens"),
        ("cjk", 0.9, "90% of the answers are CJK"),
        ("loops", 0.3, "30% of the answers repeat themselves"),
        ("gap", 0.01, "the texts fit everything"),
        ("ratio", 1.3, "the mean importance ratio is 1.300"),
        ("ratio", float("nan"), "the mean importance ratio is nan"),
    ],
)
def test_each_guard_names_its_limit(metric: str, value: float, words: str) -> None:
    (found,) = broken(Guards(), FINE | {metric: value})
    assert words in found


def test_training_stops_after_as_many_bad_steps_in_a_row_as_patience_says() -> None:
    watch, bad = Watch(Guards(patience=2)), FINE | {"loops": 1.0}
    for step, metrics in enumerate([bad, FINE, bad]):
        watch.check(step, metrics)
    with pytest.raises(TrainingError, match=r"stopped at step 3, 2 steps in a row .* 100% of the answers"):
        watch.check(3, bad)
