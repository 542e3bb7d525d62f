"""The metrics that Ray gives to Prometheus are those of the run's record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.run import decode, stages_of
from nla_ray.runtime.metrics import CELLS, SweepMetrics
from nla_ray.runtime.progress import Labels
from nla_ray.stages.code import code_of
from nla_ray.stages.stage import Stage
from nla_ray.store.places.objects import Store
from tests.decoded import record_of
from tests.runtime.conftest import Make
from tests.runtime.stages import Echo, Faulty

PATIENCE_S = 90.0
Metrics = dict[str, float]


def samples() -> list[Sample]:
    """What this machine's node says, as Prometheus would read it."""
    import ray

    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urlopen(address, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return [sample for family in families for sample in family.samples]


def cells(sweep: str) -> Metrics:
    """Cells of a sweep by state."""
    return {
        one.labels["state"]: one.value
        for one in samples()
        if one.name == f"ray_{CELLS}" and one.labels["sweep"] == sweep
    }


def scraped(labels: Labels) -> Metrics:
    """What is said of a run."""
    runs = [one for one in samples() if "run" in one.labels]
    ours = [one for one in runs if vars(labels).items() <= one.labels.items()]
    return {one.name.removeprefix("ray_nla_"): one.value for one in ours}


def in_time(labels: Labels, true: Callable[[Metrics], object]) -> Metrics:
    """The metrics of a run once something is true of them: they are sent every ten seconds."""
    end = time.monotonic() + PATIENCE_S
    while not true(found := scraped(labels)):
        assert time.monotonic() < end, found
        time.sleep(1.0)
    return found


@pytest.mark.slow
def test_metrics_are_the_numbers_of_the_record(make: Make, tmp_path: Path, ray_cluster: None) -> None:
    config = make("fused", max_failed_fraction=0.5, baseline={"value": 0.7, "reference": "a test"})

    def stages(ready: Decode, store: Store) -> Sequence[Stage]:
        extract, verbalize, *rest = stages_of(ready, store)
        return [extract, Faulty(verbalize, {"doc5": "raise"}, tmp_path / "log"), *rest]

    began = time.time()
    run = decode(config, stages=stages)
    ended, record = time.time(), record_of(config.output)
    labels = Labels(run=run.run_id, model=str(config.models.target), corpus=config.corpus.paths[0])
    found = in_time(labels, lambda now: now.get("units_left") == 0 and now.get("actors_wanted") == 0)
    real = record["outcomes"]["real"]
    assert found["units_done"] == 4 and found["units_failed"] == 0
    assert found["vectors_total"] == record["vectors"] and found["tokens_total"] == record["tokens"]
    unclosed = real.get("unclosed", 0) + real.get("length", 0)
    assert found["slot_use"] == pytest.approx(record["slot_use"])
    assert found["unclosed_share"] == pytest.approx(unclosed / sum(real.values()))
    assert found["fve_nrm"] == pytest.approx(run.summary.fidelity["real"].mean, abs=1e-5)
    assert found["retries_total"] == 3, "as it is, in halves, and without the document"
    assert began < found["last_unit_time_seconds"] < ended


@pytest.mark.slow
def test_cells_of_a_sweep_are_counted_by_state(ray_cluster: None) -> None:
    metric = SweepMetrics("fleet", "2026-W48")
    metric.tell({"done": 1, "running": 2, "failed": 0})
    end = time.monotonic() + PATIENCE_S
    while len(found := cells("fleet")) < 3:
        assert time.monotonic() < end, found
        time.sleep(1.0)
    assert found == {"done": 1, "running": 2, "failed": 0}


@pytest.mark.slow
def test_an_actor_is_alive_until_its_process_ends(ray_cluster: None) -> None:
    import ray

    from nla_ray.runtime.ray_data import StageActor

    labels = Labels(run="alone", model="m", corpus="c")
    actor = ray.remote(StageActor).options(num_cpus=0).remote(Echo(), [labels], 1, code_of())
    assert in_time(labels, lambda now: now) == {"actor_alive": 1}
    ray.kill(actor)
    assert in_time(labels, lambda now: not now) == {}
