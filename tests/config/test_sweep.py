"""The configuration of a sweep: what belongs together, what is refused, what a cell's decode is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nla_ray.config.loading.load import load
from nla_ray.config.sweep import SweepConfig

TARGET = {"name": "one", "target": "demo:target", "av": "demo:av", "ar": "demo:ar"}
CORPUS = {"name": "docs", "paths": ["in/{week}.jsonl"], "text": "text"}


def config(**changes: Any) -> SweepConfig:
    values = {"name": "s", "root": "out", "targets": [TARGET], "corpora": [CORPUS], "seed": 5}
    return SweepConfig.model_validate(values | changes)


def test_a_cell_is_the_decode_of_its_week_with_the_policy_of_the_sweep() -> None:
    made = config(sampling={"samples": 3})
    ((target, corpus),) = made.pairs()
    decoding = made.decoding(target, corpus, "2026-W48", "out/tables")
    assert (decoding.corpus.paths, decoding.output) == (("in/2026-W48.jsonl",), "out/tables")
    assert (decoding.seed, decoding.sampling.samples, str(decoding.models.av)) == (5, 3, "demo:av")


def test_a_fine_tune_has_the_pair_of_its_base_unless_it_names_one() -> None:
    tuned = {"name": "two", "target": "demo:target", "base": "one"}
    third = {"name": "three", "target": "demo:target", "base": "two", "av": "demo:av-sft"}
    made = config(targets=[TARGET | {"layer": 3}, tuned, third])
    _, two, three = made.targets
    assert (str(made.models(two).av), str(made.models(two).ar), made.layer_of(two)) == (
        "demo:av",
        "demo:ar",
        3,
    )
    assert (str(made.models(three).av), made.models(three).ar, made.layer_of(three)) == (
        "demo:av-sft",
        None,
        None,
    )


def test_benign_corpora_come_before_those_that_need_them() -> None:
    calm = CORPUS | {"name": "calm"}
    made = config(corpora=[CORPUS | {"benign": "calm"}, calm])
    assert [corpus.name for _, corpus in made.pairs()] == ["calm", "docs"]


def test_each_model_may_have_documents_of_its_own() -> None:
    made = config(corpora=[CORPUS | {"paths": ["in/{model}/{week}.jsonl"]}])
    decoding = made.decoding(made.targets[0], made.corpora[0], "2026-W48", "out")
    assert decoding.corpus.paths == ("in/one/2026-W48.jsonl",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"corpora": [CORPUS | {"paths": ["in/{month}.jsonl"]}]}, "{month} means nothing here; {week} is"),
        ({"corpora": [CORPUS | {"paths": ["in/{week.jsonl"]}]}, "{ means nothing here"),
        ({"corpora": [CORPUS, CORPUS]}, "corpora: docs stands twice"),
        ({"targets": [TARGET, TARGET]}, "targets: one stands twice"),
        ({"targets": [TARGET | {"adapter": "x"}]}, "target: ADAPTER on BASE"),
        ({"targets": [{"name": "one", "target": "x"}]}, "one has no av, and no base that has one"),
        ({"targets": [TARGET | {"base": "none"}]}, "base 'none' is not known; there are one"),
        (
            {"targets": [{"name": name, "target": "x", "base": other} for name, other in ("ab", "ba")]},
            "is its own base in the end",
        ),
        ({"targets": [TARGET | {"base": "one"}]}, "one is its own base in the end"),
        ({"corpora": [CORPUS | {"benign": "docs"}]}, "docs: benign documents are those of another corpus"),
        ({"corpora": [CORPUS | {"benign": "calm"}]}, "benign 'calm' is not known; there are docs"),
        ({"leave_out": ["one/none"]}, "'one/none' is not known; there are one/docs"),
        ({"leave_out": ["one/docs"]}, "leaves no cell"),
        ({"budget": {"money": 3}}, "say the price of a GPU-hour"),
        ({"targets_at_once": 2}, "use runner.name: ray"),
        ({"one_pass": True, "continuation": {}}, "is read anew for each pair; leave one_pass out"),
        ({"one_pass": True, "engine": {"ranks": 2}}, "with one rank"),
        ({"name": "a/b"}, "letters, digits, `.`, `_` and `-`, at most 64"),
        ({"targets": [TARGET | {"name": "../up"}]}, "none of `.-` first"),
        ({"notify": {"url_env": "https://hook"}}, "the name of an environment variable"),
        ({"positions": {"n": 1, "part": "response"}}, "there is no response without continuation"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        config(**changes)
    assert said in str(refused.value)


def test_what_changes_no_row_is_no_part_of_what_a_week_was_begun_with() -> None:
    other = config(
        root="elsewhere", budget={"vectors": 3}, runner={"name": "ray"}, targets_at_once=2, one_pass=True
    )
    assert other.effective() == config().effective()
    assert config(seed=6).effective() != config().effective()


def test_the_demo_is_a_sweep() -> None:
    assert load(SweepConfig, Path("jobs/sweep_demo.yaml")).name == "demo"
