"""What the table and options say beside a sidecar: filled in, or refused where the file says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nla_ray.config.models.injection import Injection
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError
from nla_ray.nla.sidecar.known import reference_of
from nla_ray.nla.sidecar.read import read_sidecar, with_layer
from nla_ray.nla.sidecar.write import write_sidecar
from tests.nla.sidecar.test_read import NO_LAYER, RELEASED_AR, RELEASED_AV, REMOVED, change, write

DATASET: dict[str, Any] = {
    "kind": "nla_dataset",
    "schema_version": 1,
    "stage": "rl",
    "extraction": {"base_model": "Qwen/Qwen3.6-27B", "d_model": 5120, "layer_index": 42, "norm": "none"},
    "tokens": RELEASED_AV["tokens"]
    | {"injection_char": "㈜", "injection_token_id": 158983, "injection_left_neighbor_id": 29}
    | {"injection_right_neighbor_id": 510, "critic_suffix_ids": None},
    "prompt_templates": {"actor": "<concept>{injection_char}</concept>", "critic": None},
}


def snapshot(root: Path, repo: str, folder: str) -> Path:
    owner, name = repo.split("/")
    made = root / f"models--{owner}--{name}" / "snapshots" / ("c" * 40) / folder
    made.mkdir(parents=True)
    return made


def test_a_known_pair_is_read_as_the_table_says(tmp_path: Path) -> None:
    directory = snapshot(tmp_path, "ceselder/qwen3.6-27b-nla-rl", "av_base")
    write(directory, DATASET)
    found = read_sidecar(directory, role="av")
    assert found.injection == Injection("add_matched", "output", 1, 1.0)
    assert found.facts.template_options == {"enable_thinking": False}
    assert (found.layer, found.dialect) == (42, "EasyNLA")
    with pytest.raises(CheckpointError, match=r"replace@embedding=9\.0 was asked for"):
        read_sidecar(directory, injection="replace@embedding=9")
    assert reference_of(directory) == ("ceselder/qwen3.6-27b-nla-rl#av_base", "c" * 40)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (PairFacts(question="What is it?"), "pair.question: its prompt has no place for a question"),
        (PairFacts(special_tokens=False), "pair.special_tokens: its prompt is a turn of a chat"),
    ],
)
def test_what_is_said_and_goes_nowhere_is_refused(tmp_path: Path, facts: PairFacts, says: str) -> None:
    write(tmp_path, RELEASED_AV)
    with pytest.raises(CheckpointError, match=f"nla_meta.yaml: {says}"):
        read_sidecar(tmp_path, facts=facts)


def test_a_scale_in_a_data_sets_sidecar_is_not_believed(tmp_path: Path) -> None:
    write(tmp_path, change(DATASET, extraction__injection_scale=150.0))
    with pytest.raises(CheckpointError, match="nothing tells how this AV was given its vectors"):
        read_sidecar(tmp_path)


def test_links_into_a_snapshot_are_the_snapshot(tmp_path: Path) -> None:
    directory = snapshot(tmp_path, "ceselder/qwen3.6-27b-nla-rl", "av_rl_adapters/iter_000300")
    (directory / "adapter_config.json").write_text("{}")
    view, again = tmp_path / "view", tmp_path / "again"
    for made, source in ((view, directory), (again, view)):
        made.mkdir()
        (made / "adapter_config.json").symlink_to(source / "adapter_config.json")
        found = reference_of(made)
        assert found is not None and found[0].endswith("#av_rl_adapters/iter_000300")
    assert reference_of(tmp_path) is None


def test_a_pair_that_the_table_refuses(tmp_path: Path) -> None:
    directory = snapshot(tmp_path, "asher577/nla-qwen-3-8b", "")
    write(directory, DATASET)
    with pytest.raises(CheckpointError, match="asher577/nla-qwen-3-8b: an RL adapter whose SFT base was not"):
        read_sidecar(directory, injection="add_matched@output:1")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"layer": 19}, "K = 19 was asked for"),
        ({"marker": "x"}, r"tokens\.injection_char: it says"),
        ({"av_template": "{injection_char}"}, r"prompt_templates\.av: it says"),
    ],
)
def test_an_option_that_contradicts_the_file_is_refused(
    tmp_path: Path, facts: dict[str, Any], says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_sidecar(write(tmp_path, RELEASED_AV), facts=PairFacts(**facts))


def test_a_block_that_an_av_does_not_say_is_its_ars(tmp_path: Path) -> None:
    av, ar = tmp_path / "av", tmp_path / "ar"
    for directory, meta in ((av, change(RELEASED_AV, **NO_LAYER)), (ar, RELEASED_AR)):
        directory.mkdir()
        write(directory, meta)
    with pytest.raises(CheckpointError, match="give the AR too"):
        read_sidecar(av)
    facts = with_layer(None, av, ar)
    assert read_sidecar(av, facts=facts).layer == 20
    assert with_layer(None, av, None) is None
    assert with_layer(PairFacts(layer=7), av, ar) == PairFacts(layer=7)


def test_facts_are_written_and_read_again(tmp_path: Path) -> None:
    meta = change(RELEASED_AV, pair={"template_options": {"enable_thinking": False}, "prefill": "<e>"})
    found = read_sidecar(write(tmp_path, meta))
    assert found.facts == PairFacts(template_options={"enable_thinking": False}, prefill="<e>")
    write_sidecar(tmp_path, found)
    assert read_sidecar(tmp_path).facts == found.facts
    with pytest.raises(CheckpointError, match=r"pair\.prefill: it says '<e>'"):
        read_sidecar(tmp_path, facts=PairFacts(prefill="<other>"))
    with pytest.raises(CheckpointError, match=r"pair\.chat"):
        read_sidecar(write(tmp_path, change(RELEASED_AV, pair={"chat": "perhaps"})))


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"d_shared": 2048, "layer_index": 20, "tags": ["qwen"]}, "d_shared: it reads the mean of a passage"),
        (change(RELEASED_AV, variant="pooled"), "variant: found 'pooled'"),
        (change(RELEASED_AV, variant="universal"), "without depth_percentages"),
        (change(RELEASED_AV, extraction__norm="whitened_zca_v1"), r"transformed \(whitened\) vectors"),
        (change(RELEASED_AV, tokens__injection_char=REMOVED), r"tokens\.injection_char: found nothing"),
    ],
)
def test_what_is_no_nla_of_single_raw_vectors_is_refused_by_name(
    tmp_path: Path, meta: dict[str, Any], says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_sidecar(write(tmp_path, meta))
