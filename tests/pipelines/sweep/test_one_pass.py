"""A pair for each layer: with `one_pass` a model reads documents once; rows are those of each pair alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.sweep import SweepConfig
from nla_ray.nla.extraction import Extractor
from nla_ray.pipelines.sweep.run import run_sweep
from nla_ray.stages import verbalize
from tests.conftest import NlaDirs
from tests.decoded import Row, record_of, same_rows, select, sound
from tests.nla.model.adapters.trained import trained
from tests.runtime.conftest import RUNNERS, equal_threads
from tests.sweeps import WEEKS, sweep_config
from tests.tiny import LAYER, tiny_nla

FIRST, _ = WEEKS
PAIRS = ("deep", "shallow")

Make = Callable[..., SweepConfig]
Passes = list[tuple[tuple[int, ...], list[list[int]]]]
"""Layers and token ids of every forward pass of a target."""


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Passes:
    made: Passes = []
    forward = Extractor._forward

    def counted(self: Extractor, rows: Sequence[Sequence[int]], positions: Any) -> Any:
        made.append((self.layers, [list(row) for row in rows]))
        return forward(self, rows, positions)

    monkeypatch.setattr(Extractor, "_forward", counted)
    return made


@pytest.fixture
def make(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Make:
    """`make(root)`: two pairs of one model, at layer 2 and at layer 1, below the test's folder."""
    model, av, ar = nla("qwen2")
    _, other_av, other_ar = tiny_nla(tmp_path / "pair", layer=LAYER - 1)
    shutil.copytree(av, tmp_path / "deep-av")
    pairs = zip(PAIRS, ((tmp_path / "deep-av", ar), (other_av, other_ar)), strict=True)
    targets = [
        {"name": name, "target": str(model), "av": str(one), "ar": str(two)} for name, (one, two) in pairs
    ]

    def made(root: str, *, more: Sequence[dict[str, str]] = (), **changes: Any) -> SweepConfig:
        values = {"root": str(tmp_path / root), "targets": [*targets, *more], "keep": ["activations"]}
        return sweep_config(tmp_path, nla("qwen2"), **values | changes)

    return made


def rows(config: SweepConfig, view: str) -> list[Row]:
    """All rows of a view, in an order that does not hang on how they were made."""
    joined = f"SELECT c.model AS named, c.corpus, e.* FROM {view} e JOIN cells c USING (run_id)"
    return sorted(select(f"{config.root}/tables", joined), key=lambda row: (row["named"], row["row_id"]))


@pytest.mark.slow
def test_documents_are_read_once_for_all_layers_and_rows_are_those_of_each_pair_alone(
    make: Make, passes: Passes, tmp_path: Path
) -> None:
    model = Path(str(make("any").targets[0].target))
    trained(model, tmp_path / "adapter")
    tuned = f"{tmp_path / 'adapter'} on {model}"
    more = [{"name": f"tuned-{name}", "target": tuned, "base": name} for name in PAIRS]
    some: dict[str, Any] = {"more": more, "leave_out": [f"tuned-{name}/chats" for name in PAIRS]}
    run_sweep(alone := make("alone", **some), FIRST)
    assert {layers for layers, _ in passes} == {(LAYER,), (LAYER - 1,)}
    deepest = sorted(ids for layers, ids in passes if layers == (LAYER,))
    passes.clear()
    ended = run_sweep(together := make("together", **some, one_pass=True), FIRST)
    assert {one.state for one in ended.results} == {"done"}
    sound(f"{together.root}/tables")
    assert {layers for layers, _ in passes} == {(LAYER - 1, LAYER)}
    assert sorted(ids for _, ids in passes) == deepest
    for view in ("all_explanations", "activations"):
        same_rows(rows(together, view), rows(alone, view))
    vectors = {str(row["activation_vector"]) for row in rows(together, "activations")}
    assert len(vectors) == len(rows(together, "activations")), "each pair has vectors of its own"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("name", ["fused", "pools"])
def test_on_ray_the_rows_are_the_same_and_a_pass_is_shared_too(make: Make, name: str) -> None:
    run_sweep(local := make("local", one_pass=True), FIRST)
    ray = make("ray", one_pass=True, runner=equal_threads(RUNNERS[name]))
    ended = run_sweep(ray, FIRST)
    assert {one.state for one in ended.results} == {"done"}
    sound(f"{ray.root}/tables")
    for view in ("all_explanations", "activations"):
        same_rows(rows(ray, view), rows(local, view), within=1e-5)
    for config in (local, ray):
        deep, shallow = (extracting(config, name) for name in PAIRS)
        assert deep == pytest.approx(2 * shallow), "two blocks are borne by both, one by the deep pair alone"


def extracting(config: SweepConfig, name: str) -> float:
    """Seconds of extraction that the runs of a target record."""
    found = select(f"{config.root}/tables", f"SELECT run_id FROM cells WHERE model = '{name}'")
    records = [record_of(f"{config.root}/tables", run=row["run_id"]) for row in found]
    return float(sum(record["busy_seconds"]["extract"] for record in records))


@pytest.mark.parametrize("broken", PAIRS)
def test_a_pair_that_cannot_be_loaded_ends_its_own_cells_alone(
    make: Make, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make("root", one_pass=True)
    loads: list[str] = []
    load = verbalize.TransformersVerbalizer

    def counted(directory: Path, **options: Any) -> Any:
        loads.append(directory.name if directory.name == "deep-av" else "shallow-av")
        return load(directory, **options)

    monkeypatch.setattr(verbalize, "TransformersVerbalizer", counted)
    directory = {one.name: Path(str(one.av)) for one in config.targets}[broken]
    (directory / "model.safetensors").write_bytes(b"cut")
    ended = run_sweep(config, FIRST)
    states = {one.cell.pair: one.state for one in ended.results}
    assert states == {
        (name, corpus): "failed" if name == broken else "done"
        for name in PAIRS
        for corpus in ("notes", "chats")
    }
    assert {one.exit for one in ended.results if one.state == "failed"} == {2}
    (other,) = set(PAIRS) - {broken}
    assert loads.count(f"{other}-av") == 1
