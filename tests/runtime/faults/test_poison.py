"""Documents that raise, kill or lose a device: they end in quarantine with reasons, all others are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.errors import EngineError
from nla_ray.pipelines.decode.isolate import DIED
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.run import Decoded, decode, stages_of
from nla_ray.stages.stage import Stage
from nla_ray.store.places.objects import Store
from tests.cli.conftest import Invoke, invoke  # noqa: F401 (fixture)
from tests.decoded import Row, rows_of, same_rows, select, sound
from tests.runtime.conftest import Make
from tests.runtime.stages import Faulty

pytestmark = pytest.mark.slow

ROWS = 2 * 2 * 5
"""Rows of one document: positions, samples, and the real vector beside every control."""

OF_NEIGHBOURS = ("mean", "shuffled")
"""Controls that are drawn among the vectors of a unit, those of poison documents left out."""


def faulty(faults: Mapping[str, str], log: Path) -> Callable[[Decode, Store], Sequence[Stage]]:
    """The stages of a decode of which the second one stumbles over documents."""

    def stages(ready: Decode, store: Store) -> Sequence[Stage]:
        extract, verbalize, *rest = stages_of(ready, store)
        return [extract, Faulty(verbalize, faults, log), *rest]

    return stages


def run(config: DecodeConfig, log: Path, **faults: str) -> Decoded:
    """A decode in which some documents do harm."""
    return decode(config, stages=faulty(faults, log))


def held(config: DecodeConfig, reference: DecodeConfig, reasons: Mapping[str, str]) -> None:
    """Assert that all rows are there, those of the poison documents in quarantine with these reasons."""
    sound(config.output)
    decode(reference)
    made, expected = rows_of(config.output), rows_of(reference.output)

    def of_others(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["doc_id"] not in reasons and row["control"] not in OF_NEIGHBOURS]

    same_rows(of_others(made), of_others(expected), within=1e-5, apart=("fve_nrm",))
    keys = {(row["row_id"], row["sample"]) for row in expected}
    aside = [row for row in rows_of(config.output, "failures") if row["outcome"] == "quarantined"]
    assert {(row["doc_id"], row["reason"]) for row in aside} == set(reasons.items())
    assert keys == {(row["row_id"], row["sample"]) for row in [*made, *aside]}
    assert len(made) + len(aside) == len(keys) == 8 * ROWS
    (counted,) = select(config.output, "SELECT rows, quarantined FROM runs")
    assert counted == {"rows": (8 - len(reasons)) * ROWS, "quarantined": len(reasons) * ROWS}


def test_a_document_that_raises_is_left_out(make: Make, tmp_path: Path, invoke: Invoke) -> None:  # noqa: F811
    config = make("local", max_failed_fraction=0.5)
    assert run(config, tmp_path / "log", doc3="raise", doc4="raise").failed_fraction == 2 / 8
    reason = "RuntimeError: cannot stand "
    held(config, make("local", "reference"), {"doc3": f"{reason}doc3", "doc4": f"{reason}doc4"})
    (tmp_path / "config.yaml").write_text(config.model_dump_json())
    again = invoke("decode", tmp_path / "config.yaml")
    assert again.code == 0 and "40 rows (25.00%) that no worker could make" in again.out
    assert "80 x RuntimeError" not in again.out and "nothing was done" in again.out
    assert invoke("decode", tmp_path / "config.yaml", "max_failed_fraction=0.24").code == 6


def test_a_passing_fault_leaves_nothing_out(make: Make, tmp_path: Path) -> None:
    config = make("local")

    class Once(Faulty):
        def _meet(self, doc_id: str) -> None:
            if doc_id in self._faults:
                raise RuntimeError(self._faults.pop(doc_id))

    def stages(ready: Decode, store: Store) -> Sequence[Stage]:
        extract, verbalize, *rest = stages_of(ready, store)
        return [extract, Once(verbalize, {"doc1": "not now"}, tmp_path / "log"), *rest]

    assert decode(config, stages=stages).failed_fraction == 0
    held(config, make("local", "reference"), {})


def test_when_nothing_can_be_made_the_workers_are_to_blame(make: Make, tmp_path: Path) -> None:
    config = make("local")
    all_of_them = {f"doc{i}": "raise" for i in range(8)}
    with pytest.raises(EngineError, match=r"of 4 units.*RuntimeError: cannot stand.*mend the workers"):
        run(config, tmp_path / "log", **all_of_them)
    decode(config)
    held(config, make("local", "reference"), {})


@pytest.mark.slow
def test_on_ray_a_document_that_kills_its_worker_is_left_out_too(
    make: Make,
    tmp_path: Path,
    ray_cluster: None,
    invoke: Invoke,  # noqa: F811
) -> None:
    config, log = make("fused", max_failed_fraction=0.5), tmp_path / "log"
    run(config, log, doc1="kill", doc4="raise", doc7="lose")
    reasons = {"doc1": DIED, "doc4": "RuntimeError: cannot stand doc4"}
    held(config, make("local", "reference"), reasons)
    met = [line.split() for line in log.read_text().splitlines()]
    assert [doc for doc, _ in met].count("doc7") == 1, "a lost device is no fault of the unit"
    killed = [process for doc, process in met if doc == "doc1"]
    assert len(killed) == len(set(killed)) == 2 * 3, "twice in the run, in the second try and in its half"
    (tmp_path / "config.yaml").write_text(make("local", max_failed_fraction=0.1).model_dump_json())
    assert invoke("decode", tmp_path / "config.yaml").code == 6
