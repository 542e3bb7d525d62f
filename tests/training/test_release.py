"""A released directory loads as what was trained, and others may read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.reconstructor import Reconstructor
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.models import load_ar, load_av
from nla_ray.training.release import write_ar, write_av
from nla_ray.training.world import full_state

Dirs = tuple[Path, Path, Path]


@pytest.mark.parametrize("family", ["qwen2", "gemma3"])
def test_a_written_verbalizer_says_what_it_said(
    nla: Callable[[str], Dirs], tmp_path: Path, family: str
) -> None:
    model = load_av(nla(family)[1])
    write_av(tmp_path / "av", model, full_state(model), model.sidecar)
    vectors = np.random.default_rng(0).standard_normal((3, model.sidecar.d_model)).astype(np.float32)
    answers = [
        TransformersVerbalizer(av).generate(vectors, ["a", "b", "c"], Sampling(max_new_tokens=8))
        for av in (nla(family)[1], tmp_path / "av")
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("family", ["qwen2", "gemma3"])
def test_a_written_reconstructor_reads_what_it_read(
    nla: Callable[[str], Dirs], tmp_path: Path, family: str
) -> None:
    model = load_ar(nla(family)[2])
    write_ar(tmp_path / "ar", model, full_state(model), model.sidecar)
    read = [Reconstructor(ar).reconstruct(["one text", "two"]) for ar in (nla(family)[2], tmp_path / "ar")]
    np.testing.assert_allclose(read[0], read[1], rtol=1e-5, atol=1e-6)


def test_every_file_has_the_mode_of_the_others(nla: Callable[[str], Dirs], tmp_path: Path) -> None:
    model = load_ar(nla("qwen2")[2])
    write_ar(tmp_path / "ar", model, full_state(model), model.sidecar)
    (tmp_path / "plain").touch()
    assert {file.stat().st_mode for file in (tmp_path / "ar").iterdir()} == {
        (tmp_path / "plain").stat().st_mode
    }
