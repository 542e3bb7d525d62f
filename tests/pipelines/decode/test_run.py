"""A decode from the inside: what it refuses before it begins, what it reports while it runs."""

from __future__ import annotations

import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.config.loading.load import load
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.decode.run import (
    Progress,
    decode,
    needed_bytes,
    plan,
    require_place,
    written_units,
)
from tests.cli.conftest import TEXT, Job, job  # noqa: F401 (fixture)
from tests.decoded import record_of


def config_of(small: Job, *overrides: str) -> DecodeConfig:
    return load(DecodeConfig, small.config, overrides)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(job: Job) -> None:  # noqa: F811
    texts = (f'{{"id": {n}, "text": "{TEXT * 100}", "truth": {{}}}}\n' for n in range(20))
    job.corpus.write_text("".join(texts))
    endless = config_of(job, "positions={choose: all}", "sampling.samples=32767")
    with pytest.raises(InputError, match=r"GiB are needed and .* GiB are free; make room"):
        decode(endless)
    assert not job.output.exists()


def test_progress_says_where_the_run_is(job: Job) -> None:  # noqa: F811
    told: list[Progress] = []
    decode(config_of(job, "corpus.unit_documents=1"), report=told.append)
    doing = list(dict.fromkeys(one.doing for one in told))
    assert doing == ["checking the models", "planning", "starting", "decoding"]
    units = [(one.units, one.of_units, one.before) for one in told if one.doing == "decoding"]
    assert units == [(n, 3, 0) for n in range(4)]
    last = told[-1]
    assert last.documents == 3 and last.seconds > 0 and last.unclosed is not None
    assert last.vectors == record_of(job.output)["vectors"]
    assert last.fve_nrm is None, "the run's own denominator is not known yet"


def test_a_plan_counts_what_is_written_and_writes_nothing(job: Job) -> None:  # noqa: F811
    config = config_of(job)
    ready, place = plan(config)
    assert (len(ready.tasks), written_units(ready, place)) == (1, 0) and not job.output.exists()
    decode(config)
    assert written_units(*plan(config)) == 1


def test_one_may_look_at_any_plan(job: Job) -> None:  # noqa: F811
    decode(config_of(job))
    ready, place = plan(config_of(job, "seed=1"))
    assert len(ready.tasks) == 1
    with pytest.raises(ConfigError, match="holds another plan"):
        require_place(place, ready, add=False)


def test_room_is_needed_for_what_is_missing_only(job: Job) -> None:  # noqa: F811
    ready, place = plan(config_of(job, "corpus.unit_documents=1", "keep=[activations,documents]"))
    units = [task.unit_id for task in ready.tasks]
    steps = [needed_bytes(ready, units[:n]) for n in range(4)]
    assert len(units) == 3 and steps == sorted(set(steps), reverse=True) and steps[-1] == 0
    require_place(place, ready, add=False)
