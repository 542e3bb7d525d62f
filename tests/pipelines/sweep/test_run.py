"""A week of a sweep: every cell ends with a result, whatever befalls others; nothing is done twice."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.sweep import SweepConfig
from nla_ray.errors import ConfigError, OverBudgetError, UnreachableError
from nla_ray.fleet.layout import result_key
from nla_ray.fleet.results import CellResult, numbers_of, results_of
from nla_ray.pipelines.sweep import place as placing
from nla_ray.pipelines.sweep import run as sweep_run
from nla_ray.pipelines.sweep.place import open_place
from nla_ray.pipelines.sweep.plan import plan_sweep
from nla_ray.pipelines.sweep.run import Ended, run_sweep
from nla_ray.store import open_store
from nla_ray.store.upkeep.collect import Rules, garbage, remove
from nla_ray.store.upkeep.ended import retire
from tests.conftest import NlaDirs
from tests.decoded import rows_of, same_rows, select, snapshot, sound
from tests.sweeps import WEEKS, sweep_config, write_corpus

FIRST, SECOND = WEEKS

Make = Callable[..., SweepConfig]


@pytest.fixture
def make(tmp_path: Path, nla: Callable[[str], NlaDirs]) -> Make:
    """`make(seed=1)`: a sweep of two models over two corpora below the test's folder."""
    return lambda **changes: sweep_config(tmp_path, nla("qwen2"), **changes)


def of(ended: Ended, model: str = "base", corpus: str = "notes") -> CellResult:
    (found,) = (one for one in ended.results if one.cell.pair == (model, corpus))
    return found


def attempts(config: SweepConfig, week: str = FIRST) -> dict[str, int]:
    numbers = numbers_of(open_store(config.root), config.name, week)
    return {"/".join(pair): one.attempt for pair, one in sorted(numbers.items())}


def tables(config: SweepConfig) -> str:
    return f"{config.root}/tables"


def test_a_week_is_done_once_and_the_next_is_compared_with_it_and_with_the_base(make: Make) -> None:
    config = make()
    first = run_sweep(config, FIRST)
    assert [one.state for one in first.results] == ["done"] * 4 and len(first.worked) == 4
    assert first.exit == 3 and of(first).verdict == "not reportable" and of(first).last_run is None
    assert all(one.reason for one in first.results), "what is not reportable says why"
    assert len({one.run_id for one in first.results}) == 4
    sound(tables(config))
    before = snapshot(Path(config.root))
    again = run_sweep(config, FIRST)
    assert (again.worked, again.exit) == ((), first.exit) and snapshot(Path(config.root)) == before

    lost = Path(config.root) / result_key(config.name, FIRST, ("base", "chats"), 1)
    lost.write_text("{")
    second = run_sweep(config, SECOND)
    said = f"compared with no earlier week: {FIRST} has no finished run of this cell that can be read"
    assert [said in str(one.reason) for one in second.results] == [
        one.cell.pair == ("base", "chats") for one in second.results
    ]
    tuned = of(second, "tuned")
    assert tuned.last_run == of(first, "tuned").run_id and tuned.base_run == of(second).run_id
    for folder, role in ((tuned.report, tuned.last_run), (tuned.base_report, tuned.base_run)):
        report = json.loads((Path(config.root) / str(folder) / "report.json").read_text())
        assert [one["run_id"] for one in report["runs"] if one["role"] == "before"] == [role]
    assert of(second).base_report is None
    labels = select(
        tables(config), f"SELECT week, model, base, corpus FROM cells WHERE run_id = '{tuned.run_id}'"
    )
    assert labels == [{"week": SECOND, "model": "tuned", "base": "base", "corpus": "notes"}]
    assert Path(second.page).is_file()


def test_a_week_with_the_same_documents_is_the_run_of_the_week_before(make: Make, tmp_path: Path) -> None:
    config = make(budget={"price": 3600})
    first = run_sweep(config, FIRST)
    shutil.copy(tmp_path / "in/notes" / f"{FIRST}.jsonl", tmp_path / "in/notes" / f"{SECOND}.jsonl")
    retire(open_store(tables(config)), str(of(first, corpus="chats").run_id), "of another cell too")
    second = run_sweep(config, SECOND)
    same, other = of(second), of(second, corpus="chats")
    assert (same.run_id, same.same_run_as, same.cost) == (of(first).run_id, FIRST, 0.0)
    assert same.reused_units == same.units == 2 and same.last_run is None
    elsewhere = of(run_sweep(config.model_copy(update={"name": "again"}), FIRST, cells=["base/notes"]))
    assert (elsewhere.run_id, elsewhere.reused_units, elsewhere.cost) == (same.run_id, 2, 0.0)
    assert other.same_run_as is None and (other.cost or 0) > 0
    assert other.state == "done" and other.last_run is None
    assert f"not compared with {FIRST}: the rows of its run were removed" in str(other.reason)


@pytest.mark.slow
def test_of_a_week_with_mostly_the_same_documents_most_units_are_reused(make: Make, tmp_path: Path) -> None:
    config = make(leave_out=["base/chats", "tuned/chats", "tuned/notes"])
    notes = config.corpora[0].model_copy(update={"units": "content", "unit_documents": 4})
    config = config.model_copy(update={"corpora": (notes, config.corpora[1])})
    old, new = [f"d{n}" for n in range(120)], [f"n{n}" for n in range(10)]
    write_corpus(tmp_path / "in", FIRST, "notes", old)
    write_corpus(tmp_path / "in", SECOND, "notes", [*new, *old[10:]])
    run_sweep(config, FIRST)
    place = open_place(config, SECOND)
    (planned,) = plan_sweep(place, measure=False).cells
    second = of(run_sweep(config, SECOND))
    assert second.reused_units == planned.reused_units and second.same_run_as is None
    assert second.reused_units / second.units >= 0.75
    sound(tables(config))
    undisturbed = config.model_copy(update={"root": str(tmp_path / "undisturbed")})
    run_sweep(undisturbed, SECOND)
    same_rows(rows_of(tables(config), run=second.run_id), rows_of(tables(undisturbed)))


def test_what_is_not_there_and_what_fails_are_states_and_the_others_go_on(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, counts = make(), list[dict[str, int]]()
    monkeypatch.setattr(sweep_run, "counting", lambda *_: lambda found: counts.append(dict(found)))
    (tmp_path / "in/chats" / f"{FIRST}.jsonl").unlink()
    (tmp_path / "tuned/model.safetensors").write_bytes(b"cut")
    ended = run_sweep(config, FIRST)
    assert (of(ended, corpus="chats").state, of(ended, corpus="chats").exit) == ("missing", 7)
    assert "no such corpus file" in str(of(ended, corpus="chats").reason)
    assert of(ended).state == "done"
    broken = of(ended, "tuned")
    assert (broken.state, broken.exit) == ("failed", 2) and "model.safetensors" in str(broken.reason)
    assert ended.exit == 2
    quiet = dict.fromkeys(("done", "running", "stalled", "failed", "missing", "left"), 0)
    assert counts[0] == quiet | {"left": 4} and counts[1] == quiet | {"running": 2, "left": 2}
    assert counts[-1] == quiet | {"done": 1, "missing": 1, "failed": 2}

    assert run_sweep(config, FIRST).worked == ()
    write_corpus(tmp_path / "in", FIRST, "chats", ["a"])
    mended = run_sweep(config, FIRST, cells=["base/chats"], again=["failed", "missing"])
    assert of(mended, corpus="chats").state == "done" and mended.worked == ("base.L2.chats",)
    assert attempts(config) == {"base/chats": 2, "base/notes": 1, "tuned/chats": 1, "tuned/notes": 1}


def test_a_cell_that_is_made_again_leaves_its_earlier_run_out_of_the_views(
    make: Make, tmp_path: Path
) -> None:
    config = make(leave_out=["base/chats", "tuned/chats", "tuned/notes"])
    first = of(run_sweep(config, FIRST))
    write_corpus(tmp_path / "in", FIRST, "notes", ["notes-a", "notes-b", "late"])
    assert run_sweep(config, FIRST).worked == ()
    again = of(run_sweep(config, FIRST, again=["done"]))
    assert again.run_id != first.run_id and (again.units, again.reused_units) == (2, 1)
    (seen,) = select(tables(config), "SELECT list(DISTINCT run_id) AS runs FROM explanations")
    assert seen["runs"] == [again.run_id]
    write_corpus(tmp_path / "in", FIRST, "notes", [f"notes-{one}" for one in "abcd"])
    assert of(run_sweep(config, FIRST, again=["done"])).run_id == first.run_id
    (seen,) = select(tables(config), "SELECT run_id, audit_id, week FROM cells")
    assert seen == {"run_id": first.run_id, "audit_id": first.audit_id, "week": FIRST}
    assert {row["audit_id"] for row in select(tables(config), "FROM rates")} == {first.audit_id}


def test_a_run_of_two_weeks_is_found_by_both_and_stays_while_one_of_them_needs_it(
    make: Make, tmp_path: Path
) -> None:
    config = make(leave_out=["base/chats", "tuned/chats", "tuned/notes"])
    first = of(run_sweep(config, FIRST))
    shutil.copy(tmp_path / "in/notes" / f"{FIRST}.jsonl", tmp_path / "in/notes" / f"{SECOND}.jsonl")
    second = of(run_sweep(config, SECOND))
    assert (second.run_id, second.same_run_as) == (first.run_id, FIRST)

    def seen() -> list[tuple[str, ...]]:
        names = ("week", "run_id", "audit_id")
        rows = select(tables(config), "SELECT * FROM cells ORDER BY week")
        return [tuple(row[name] for name in names) for row in rows]

    def of_week(result: CellResult) -> tuple[str, ...]:
        return result.cell.week, str(result.run_id), str(result.audit_id)

    assert seen() == [of_week(first), of_week(second)]
    shutil.rmtree(Path(tables(config)) / "cells")
    assert seen() == [of_week(first)], "a root that was written before cells were given runs"
    second = of(run_sweep(config, SECOND, again=["done"]))
    assert second.cost in (None, 0.0) and seen() == [of_week(first), of_week(second)]
    weeks = select(tables(config), "SELECT week, count(*) AS n FROM rates GROUP BY week ORDER BY week")
    assert [row["week"] for row in weeks] == [FIRST, SECOND] and len({row["n"] for row in weeks}) == 1
    (count,) = select(tables(config), "SELECT count(*) AS n, count(DISTINCT row_id) AS ids FROM explanations")

    write_corpus(tmp_path / "in", FIRST, "notes", ["notes-a", "notes-b", "late"])
    again = of(run_sweep(config, FIRST, again=["done"]))
    assert again.run_id != first.run_id and seen() == [of_week(again), of_week(second)]
    kept = snapshot(Path(tables(config)))
    store = open_store(tables(config))
    found = garbage(store, Rules(days=0, superseded_days=0))
    assert second.run_id not in {one.run_id for one in found}
    remove(store, found)
    assert {key for key in kept if str(second.run_id) in key} <= snapshot(Path(tables(config))).keys()
    (left,) = select(
        tables(config),
        f"""SELECT count(*) AS n, count(DISTINCT row_id) AS ids FROM explanations
        SEMI JOIN (FROM cells WHERE week = '{SECOND}') AS cells USING (run_id)""",
    )
    assert left == count
    sound(tables(config))


def test_a_model_that_is_not_there_is_a_missing_cell(make: Make, tmp_path: Path) -> None:
    config = make()
    shutil.rmtree(tmp_path / "tuned")
    ended = run_sweep(config, FIRST)
    assert [(one.state, one.exit) for one in ended.results] == [("done", 3)] * 2 + [("missing", 7)] * 2


def test_a_run_without_its_layer_is_not_made_for_a_cell(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config, real, asked = make(leave_out=["tuned/notes", "tuned/chats"]), placing.directory_of, list[Any]()

    def busy_at_first(model: Any, **named: Any) -> Any:
        asked.append(model)
        if len(asked) <= len(config.targets):
            raise UnreachableError("planted")
        return real(model, **named)

    monkeypatch.setattr(placing, "directory_of", busy_at_first)
    ended = run_sweep(config, FIRST)
    assert [(one.state, one.exit) for one in ended.results] == [("failed", 8)] * 2
    assert "run the same command again" in str(of(ended).reason)
    run_sweep(config, FIRST)
    assert select(tables(config), "SELECT DISTINCT layer FROM cells") == [{"layer": 2}]


def test_an_audit_has_the_labels_of_what_was_decoded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make(leave_out=["tuned/notes", "tuned/chats", "base/chats"])
    with monkeypatch.context() as once:
        once.setattr(sweep_run.Driver, "audit", lambda driver: None)
        run_sweep(config, FIRST)
    with monkeypatch.context() as once:
        once.setattr(placing, "layer_of", lambda *_: None)
        run_sweep(config, FIRST)
    cells = select(tables(config), "SELECT layer, audit_id IS NOT NULL AS audited FROM cells")
    assert cells == [{"layer": 2, "audited": True}]


def stopped_at(monkeypatch: pytest.MonkeyPatch, unit: int) -> None:
    """The driver is interrupted when it is about to write this unit."""
    from nla_ray.stages import write

    real, seen = write.write_unit, list[str]()

    def written(store: Any, ref: Any, unit_id: str, *others: Any, **named: Any) -> Any:
        seen.append(unit_id)
        if len(seen) == unit:
            raise KeyboardInterrupt
        return real(store, ref, unit_id, *others, **named)

    monkeypatch.setattr(write, "write_unit", written)


def test_a_driver_that_is_stopped_within_a_cell_and_between_cells_is_followed_by_another(
    make: Make, tmp_path: Path
) -> None:
    config = make()
    for unit in (2, 4):
        with pytest.MonkeyPatch.context() as patched:
            stopped_at(patched, unit)
            with pytest.raises(KeyboardInterrupt):
                run_sweep(config, FIRST)
    states = {one.cell.pair: one.state for one in results_of(open_store(config.root), config.name, FIRST)}
    assert set(states.values()) == {"not started"}
    ended = run_sweep(config, FIRST)
    assert [one.state for one in ended.results] == ["done"] * 4
    # The base was decoded before the second stop, and is not begun again.
    assert attempts(config) == {"base/chats": 2, "base/notes": 2, "tuned/chats": 2, "tuned/notes": 2}
    sound(tables(config))
    undisturbed = make(root=str(tmp_path / "undisturbed"))
    run_sweep(undisturbed, FIRST)
    same_rows(rows_of(tables(config)), rows_of(tables(undisturbed)))


def test_over_the_budget_nothing_is_decoded(make: Make) -> None:
    config = make(budget={"vectors": 31})
    with pytest.raises(OverBudgetError, match="would take 32 vectors where 31 are allowed") as refused:
        run_sweep(config, FIRST)
    assert refused.value.exit_code == 9
    keys = [key for key in open_store(config.root).keys("") if not key.endswith("/write-once")]
    assert keys and all(key.startswith("tables/planning/") for key in keys), "corpora are read once"
    assert run_sweep(make(budget={"vectors": 32}), FIRST).over_budget == ()


def test_a_budget_that_runs_out_ends_the_sweep_before_the_next_target(make: Make) -> None:
    # Tiny models take far longer than their sizes say: 20 cents at a dollar a second is not foreseen.
    ended = run_sweep(make(budget={"money": 0.2, "price": 3600}), FIRST)
    assert [one.state for one in ended.results] == ["done", "done", "not started", "not started"]
    assert ended.exit == 9 and "USD where 0.2 are allowed" in ended.over_budget[0]


def test_a_week_goes_on_with_the_configuration_that_it_was_begun_with(make: Make) -> None:
    config = make(leave_out=["base/chats", "tuned/chats"])
    run_sweep(config, FIRST)
    other = config.model_copy(update={"seed": 3, "budget": config.budget.model_copy(update={"vectors": 99})})
    with pytest.raises(
        ConfigError, match=r"differs in seed \(0 there, 3 here\): go on with that one, or give"
    ):
        run_sweep(other, FIRST)
    assert run_sweep(other, SECOND, cells=["base/notes"]).worked == ("base.L2.notes",)


def test_a_layer_that_is_not_the_pairs_is_refused(make: Make) -> None:
    config = make()
    targets = [config.targets[0].model_copy(update={"layer": 3}), config.targets[1]]
    with pytest.raises(ConfigError, match=r"base: layer 3 is said, and the sidecar of .* has 2"):
        run_sweep(config.model_copy(update={"targets": tuple(targets)}), FIRST)


def test_benign_documents_are_decoded_and_stand_beside_those_that_name_them(
    make: Make, tmp_path: Path
) -> None:
    config = make()
    notes, chats = config.corpora
    marked = (notes.model_copy(update={"benign": "chats"}), chats)
    config = config.model_copy(update={"corpora": marked, "leave_out": ("tuned/notes", "tuned/chats")})
    ended = run_sweep(SweepConfig.model_validate(config.model_dump()), FIRST)
    assert "not audited" in str(of(ended, corpus="chats").reason) and of(ended, corpus="chats").report is None
    report = json.loads((Path(config.root) / str(of(ended).report) / "report.json").read_text())
    assert {one["role"]: one["run_id"] for one in report["runs"]} == {
        "audited": of(ended).run_id,
        "benign": of(ended, corpus="chats").run_id,
    }


def test_cells_of_one_target_load_its_models_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from nla_ray.nla.engines.transformers import TransformersVerbalizer

    loaded = Counter[str]()

    class Counted(TransformersVerbalizer):
        def __init__(self, directory: Path, **options: Any) -> None:
            loaded[str(options["template_from"]).rpartition("/")[2]] += 1
            super().__init__(directory, **options)

    monkeypatch.setattr("nla_ray.stages.verbalize.TransformersVerbalizer", Counted)
    ended = run_sweep(make(), FIRST)
    assert [one.state for one in ended.results] == ["done"] * 4
    assert loaded == {"target": 1, "tuned": 1}
