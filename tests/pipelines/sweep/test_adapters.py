"""Adapters as targets: rows are those of the merged models, and a sweep loads their base once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nla_ray.config.sweep import SweepConfig
from nla_ray.errors import Exit
from nla_ray.nla.model.backbone import load_backbone
from nla_ray.nla.model.blocks import held
from nla_ray.pipelines.sweep.run import run_sweep
from tests.conftest import NlaDirs
from tests.decoded import Row, same_rows, select, sound
from tests.nla.model.adapters.trained import merged_by_peft, trained
from tests.sweeps import WEEKS, sweep_config
from tests.tiny import tiny_checkpoint

APART = ("run_id", "unit_id", "target")


def rows(config: SweepConfig) -> list[Row]:
    """All rows, in an order that does not hang on the ids of runs."""
    joined = "SELECT c.model AS named, e.* FROM all_explanations e JOIN cells c USING (run_id)"
    found = select(f"{config.root}/tables", joined)
    return sorted(found, key=lambda row: (row["named"], row["row_id"]))


@pytest.fixture
def config(
    tmp_path: Path, nla: Callable[[str], NlaDirs], monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], SweepConfig]:
    """A sweep of a base and three adapters, merged before, or as such beside one that does not fit."""
    monkeypatch.setenv("NLA_RAY_CACHE", str(tmp_path / "cache"))
    dirs = nla("qwen2")

    def make(merged: bool) -> SweepConfig:
        folder = tmp_path / ("merged" if merged else "adapters")
        targets = [{"name": "base", "target": str(dirs[0]), "av": str(dirs[1]), "ar": str(dirs[2])}]
        for n in range(3):
            adapter = tmp_path / f"tuned{n}"
            trained(dirs[0], adapter, seed=n, use_rslora=n == 1, use_dora=n == 2)
            ref = f"{adapter} on {dirs[0]}"
            if merged:
                whole = folder / f"tuned{n}-merged"
                shutil.copytree(dirs[0], whole)
                merged_by_peft(dirs[0], adapter).save_pretrained(whole)
                ref = str(whole)
            targets.append({"name": f"tuned{n}", "target": ref, "base": "base"})
        if not merged:
            narrow = tiny_checkpoint("qwen2", tmp_path / "narrow", config={"intermediate_size": 40})
            trained(narrow, tmp_path / "unfit")
            targets.append({"name": "unfit", "target": f"{tmp_path / 'unfit'} on {dirs[0]}", "base": "base"})
        left_out = [f"{one['name']}/chats" for one in targets]
        return sweep_config(folder, dirs, targets=targets, leave_out=left_out, controls={})

    return make


@pytest.mark.slow
def test_three_adapters_in_a_sweep_load_their_base_once(
    config: Callable[[bool], SweepConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: Counter[str] = Counter()

    def counted(directory: Path, **options: object) -> object:
        loads[Path(directory).name] += 1
        return load_backbone(directory, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(held, "load_backbone", counted)
    ended = run_sweep(sweep := config(False), WEEKS[0])
    (unfit,) = (one for one in ended.results if one.state != "done")
    assert unfit.cell.model == "unfit" and unfit.exit == Exit.UNUSABLE
    assert unfit.reason is not None and "it was trained over another model" in unfit.reason
    assert sum(loads.values()) == 1
    sound(f"{sweep.root}/tables")
    run_sweep(merged := config(True), WEEKS[0])
    found = rows(sweep)
    assert len({row["norm"] for row in found}) > len(found) / 2
    same_rows(found, rows(merged), within=1e-4, apart=APART)
