"""`nla-ray decode` with a pair for each layer: what is said of each, and what does not go together."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.cli.conftest import Invoke, Job
from tests.decoded import select
from tests.tiny import LAYER, tiny_nla


def test_every_layer_is_planned_made_and_told_or_all_refused(
    invoke: Invoke, job: Job, tmp_path: Path
) -> None:
    _, av, ar = tiny_nla(tmp_path / "shallow", layer=LAYER - 1)
    deep, shallow = {"av": str(job.av), "ar": str(job.ar)}, {"av": str(av), "ar": str(ar)}
    values = yaml.safe_load(job.config.read_text())

    def asked(*layers: dict[str, str]) -> Path:
        models = {"target": str(job.target), "layers": list(layers)}
        job.config.write_text(yaml.safe_dump(values | {"models": models}))
        return job.config

    twice = invoke("decode", asked(deep, shallow, shallow)).refused()
    assert f"both read layer {LAYER - 1}, and a layer has one pair" in twice and not job.output.exists()
    planned = invoke("decode", asked(deep, shallow), "--dry-run")
    assert (planned.code, planned.err) == (0, "") and not job.output.exists()
    made = invoke("decode", asked(deep, shallow))
    assert made.code == 0, made.err
    runs = {
        row["layer"]: row["run_id"]
        for row in select(job.output, "SELECT DISTINCT layer, run_id FROM explanations")
    }
    assert set(runs) == {LAYER, LAYER - 1}
    for layer, run_id in runs.items():
        assert f"run: {run_id} of layer {layer}," in planned.out
        assert f"run {run_id} of layer {layer}\n" in made.out
