"""A pair for each layer in one decode: a run each with the rows of that pair alone, in one pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.decode import DecodeFile
from nla_ray.errors import CheckpointError, ConfigError, InputError
from nla_ray.nla.extraction import Extractor
from nla_ray.pipelines.decode.layers import (
    by_layer,
    decode_asked,
    decode_layers,
    plan_asked,
    summed,
    told_together,
)
from nla_ray.pipelines.decode.run import Decode, decode, needed_bytes, stages_of
from nla_ray.runtime.progress import Progress
from nla_ray.stages.one_pass import shares_of
from nla_ray.stages.stage import Stage
from nla_ray.store.places.folder import FolderStore
from nla_ray.store.places.objects import Store
from tests.cli.conftest import TEXT
from tests.conftest import NlaDirs
from tests.decoded import Row, record_of, runs_of, same_rows, select, sound
from tests.runtime.conftest import RUNNERS, equal_threads
from tests.runtime.stages import Raising
from tests.tiny import LAYER, tiny_checkpoint, tiny_nla

Make = Callable[..., DecodeFile]
DEEP, SHALLOW = LAYER, LAYER - 1
VIEWS = ("all_explanations", "activations", "documents")


@pytest.fixture
def make(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Make:
    """`make("out")`: six documents in three units, with pairs of one model at layers 2 and 1."""
    target, av, ar = map(str, nla("qwen2"))
    _, other_av, other_ar = tiny_nla(tmp_path / "pair", layer=SHALLOW)
    pairs = [{"av": av, "ar": ar}, {"av": str(other_av), "ar": str(other_ar), "layer": SHALLOW}]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(json.dumps({"id": f"d{n}", "text": f"{n} {TEXT * (1 + n)}"}) + "\n" for n in range(6))
    )

    def asked(output: str, layers: Sequence[dict[str, Any]] = pairs, **changes: Any) -> DecodeFile:
        values = {
            "output": str(tmp_path / output),
            "models": {"target": target, "layers": list(layers)},
            "corpus": {"paths": [str(corpus)], "text": "text", "id": "id", "unit_documents": 2},
            "positions": {"n": 2},
            "controls": {"shuffled": 1, "random": 0.5},
            "sampling": {"max_new_tokens": 6},
            "engine": {"slots": 8},
            "keep": ["documents", "activations"],
            "prove": False,
        }
        return DecodeFile.model_validate(values | changes)

    return asked


def rows(tables: str, view: str) -> list[Row]:
    order = {"all_explanations": "row_id, sample", "activations": "row_id", "documents": "doc_id"}[view]
    return select(tables, f"FROM {view} ORDER BY run_id, {order}")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The layers of every forward pass of a target."""
    made: list[tuple[int, ...]] = []
    forward = Extractor._forward

    def counted(self: Extractor, *given: Any) -> Any:
        made.append(self.layers)
        return forward(self, *given)

    monkeypatch.setattr(Extractor, "_forward", counted)
    return made


def test_documents_are_read_once_and_rows_are_those_of_each_pair_alone(
    make: Make, passes: list[tuple[int, ...]]
) -> None:
    for number, config in enumerate(make("alone").each()):
        decode(config, add=number > 0)
    alone = len(passes)
    passes.clear()
    made = decode_asked(asked := make("together"))
    assert [one.layer for one in made] == [DEEP, SHALLOW]
    assert set(passes) == {(SHALLOW, DEEP)} and len(passes) == alone / 2
    sound(asked.output)
    for view in VIEWS:
        same_rows(rows(asked.output, view), rows(make("alone").output, view))
    assert {row["layer"] for row in rows(asked.output, "all_explanations")} == {DEEP, SHALLOW}
    again = decode_asked(asked)
    assert [(one.again, one.run_id) for one in again] == [(True, one.run_id) for one in made]


def booked(asked: DecodeFile) -> dict[int, float]:
    """Seconds of extraction that each layer's run records."""
    runs = select(asked.output, "SELECT DISTINCT run_id, layer FROM all_explanations")
    records = {row["layer"]: record_of(asked.output, run=row["run_id"]) for row in runs}
    return {layer: record["busy_seconds"]["extract"] for layer, record in records.items()}


def test_a_layer_bears_its_blocks_shared_with_those_above(make: Make) -> None:
    decode_asked(asked := make("out"))
    found = booked(asked)
    assert found[DEEP] == pytest.approx(2 * found[SHALLOW]), "(1/2 + 1/2 + 1) / 3 and (1/2 + 1/2) / 3"
    assert shares_of([DEEP, SHALLOW]) == pytest.approx([2 / 3, 1 / 3])
    assert sum(shares_of([40, 3, 3, 17])) == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("name", ["fused", "pools"])
def test_on_ray_the_rows_are_the_same_and_a_pass_is_shared_too(make: Make, name: str) -> None:
    decode_asked(local := make("local"))
    decode_asked(asked := make("ray", runner=equal_threads(RUNNERS[name])))
    sound(asked.output)
    for view in VIEWS:
        same_rows(rows(asked.output, view), rows(local.output, view), within=1e-5)
    found = booked(asked)
    assert found[DEEP] == pytest.approx(2 * found[SHALLOW])


class Interrupted(Stage):
    """The last stage, which is interrupted instead of writing its third unit."""

    def __init__(self, stage: Stage, seen: list[str]) -> None:
        self._stage, self._seen, self.name = stage, seen, stage.name

    def setup(self) -> None:
        self._stage.setup()

    def __call__(self, work: Any) -> Any:
        self._seen.append(work.task.unit_id)
        if len(self._seen) == 3:
            raise KeyboardInterrupt
        return self._stage(work)


def test_a_decode_that_was_interrupted_goes_on_where_it_was(make: Make) -> None:
    decode_asked(calm := make("calm"))
    asked, first, then = make("broken"), list[str](), list[str]()

    def stages(seen: list[str], ready: Decode, store: Store) -> list[Stage]:
        *others, last = stages_of(ready, store)
        return [*others, Interrupted(last, seen)]

    with pytest.raises(KeyboardInterrupt):
        decode_layers(by_layer(asked), stages=partial(stages, first))
    then += ["", "", ""]  # beyond the third
    made = decode_layers(by_layer(asked), stages=partial(stages, then))
    assert [one.units for one in made] == [3, 3] and len(then[3:]) == 4, "two of six were written"
    sound(asked.output)
    for view in VIEWS:
        same_rows(rows(asked.output, view), rows(calm.output, view))


def test_a_pair_that_cannot_be_loaded_leaves_the_others_alone(make: Make) -> None:
    def stages(ready: Decode, store: Store) -> list[Stage]:
        *others, last = stages_of(ready, store)
        cut = Raising({}, in_setup=CheckpointError("its file is cut"))
        return [*others, cut if ready.identity.layer == DEEP else last]

    asked = make("out")
    with pytest.raises(CheckpointError, match=rf"^layer {DEEP}: its file is cut$"):
        decode_layers(by_layer(asked), stages=stages)
    assert {row["layer"] for row in rows(asked.output, "all_explanations")} == {SHALLOW}


def test_each_layer_has_its_reason_and_its_progress() -> None:
    errors = {DEEP: CheckpointError("its file is cut"), SHALLOW: ConfigError("other runs are there")}
    told = told_together(errors)
    assert str(told) == "layer 2: its file is cut; layer 1: other runs are there" and told is errors[DEEP]
    assert told_together(errors | {0: (fault := ValueError("ours"))}) is fault
    now = {DEEP: Progress("decoding", units=1, seconds=2.0), SHALLOW: Progress("decoding", units=2)}
    assert summed(now, now[DEEP]).doing == "layer 1, 2: decoding" and summed(now, now[DEEP]).units == 3
    now[SHALLOW] = Progress("isolating what fails")
    assert summed(now, now[SHALLOW]).doing == "layer 1: isolating what fails; layer 2: decoding"


def test_room_is_needed_for_all_layers_together(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = make("out")
    needed = [needed_bytes(ready, ()) for ready, _ in plan_asked(asked)]
    monkeypatch.setattr(FolderStore, "free", lambda _: sum(needed) - 1)
    with pytest.raises(InputError, match="make room or name another output"):
        decode_asked(asked)
    monkeypatch.setattr(FolderStore, "free", lambda _: sum(needed))
    assert len(decode_asked(asked)) == 2


def test_other_runs_are_in_the_way_unless_they_may_stay(make: Make) -> None:
    decode_asked(asked := make("out"))
    other = make("out", seed=1)
    with pytest.raises(ConfigError, match="pass --add to keep several runs in one place"):
        decode_asked(other)
    decode_asked(other, add=True)
    assert len(runs_of(asked.output)) == 4


def test_what_does_not_fit_is_refused_before_the_corpus_is_read(make: Make, tmp_path: Path) -> None:
    deep, shallow = (one.model_dump(exclude_none=True) for one in make("any").models.layers)
    _, too_deep, its_ar = tiny_nla(tmp_path / "deeper", layer=3)
    other = tiny_checkpoint("qwen2", tmp_path / "small", config={"num_hidden_layers": 3})
    away = {"corpus": {"paths": ["nowhere.jsonl"], "text": "text"}}
    with pytest.raises(ConfigError, match=rf"both read layer {DEEP}, and a layer has one pair"):
        plan_asked(make("out", [deep, deep], **away))
    with pytest.raises(ConfigError, match=rf"models\.layers\.1: layer 3 is said, .* has {SHALLOW}; leave"):
        plan_asked(make("out", [deep, shallow | {"layer": 3}], **away))
    models = {"target": str(other), "layers": [deep, {"av": str(too_deep), "ar": str(its_ar)}]}
    with pytest.raises(CheckpointError, match=r"K = 3 and the target has 3 blocks, 0\.\.2; this"):
        plan_asked(make("out", models=models, **away))
    with pytest.raises(CheckpointError, match=r"d_model differs: .* they do not belong together"):
        plan_asked(make("out", [deep, {"av": "demo:av", "ar": "demo:ar"}], **away))
