"""What every verbalizer engine owes; a test module of an engine subclasses `VerbalizerContract`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_ray.config.models.injection import Injection
from nla_ray.errors import EngineError, InputError
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.prompt import encode_av_prompt, load_tokenizer, render_av_prompt
from nla_ray.nla.sidecar.read import Sidecar, read_sidecar, require_injection
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.nla.verbalizer import Answer, Generation, Request, Sampling, Verbalizer
from tests.conftest import NlaDirs
from tests.reference import full_model
from tests.tiny import D_MODEL, FAMILIES

Nla = Callable[[str], NlaDirs]
VECTORS = np.random.default_rng(1).standard_normal((11, D_MODEL)).astype(np.float32)
ROWS = [f"row-{index}" for index in range(len(VECTORS))]
DRAWN = Sampling(max_new_tokens=24, seed=5)
GREEDY = Sampling(temperature=0, max_new_tokens=20)


def av_with_stops(nla: Nla, path: Path, stops: list[int], family: str = "qwen2") -> Path:
    """A copy of a tiny AV whose generation config has these stop ids."""
    av = shutil.copytree(nla(family)[1], path / f"av-{len(stops)}")
    file = av / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token_id": stops}))
    return av


def deaf_av(nla: Nla, path: Path, family: str = "qwen2") -> Path:
    """A copy of a tiny AV that runs, but whose attention carries nothing from the slot to the answer."""
    av = shutil.copytree(nla(family)[1], path / "deaf")
    weights = load_file(av / "model.safetensors")
    silenced = {
        name: tensor * 0 if "self_attn.o_proj" in name else tensor for name, tensor in weights.items()
    }
    save_file(silenced, av / "model.safetensors", metadata={"format": "pt"})
    return av


def injected_prompts(av: Path) -> torch.Tensor:
    """[n, T, d]: the prompt's embeddings, each of VECTORS in the marker's place at the sidecar's norm."""
    sidecar = read_sidecar(av)
    prompt = render_av_prompt(load_tokenizer(av), sidecar)
    embeds_TD: torch.Tensor = full_model(av).get_input_embeddings()(torch.tensor(prompt.ids))
    embeds_BTD = embeds_TD.repeat(len(VECTORS), 1, 1)
    embeds_BTD[:, prompt.slots[0]] = torch.from_numpy(
        VECTORS
        / np.linalg.norm(VECTORS, axis=1, keepdims=True)
        * float(require_injection(sidecar).scale or 1)
    )
    return embeds_BTD


def plain_greedy(av: Path, tokens: int) -> list[tuple[int, ...]]:
    """Greedy answers of plain `generate(inputs_embeds=...)`, each cut behind its first stop token.

    By the text model: transformers refuses `inputs_embeds` for generation with a multimodal wrapper.
    """
    model: Any = load_causal_lm(av, dtype=torch.float32, device="cpu")
    embeds_BTD = injected_prompts(av)
    answers = model.generate(
        inputs_embeds=embeds_BTD,
        attention_mask=torch.ones(embeds_BTD.shape[:2], dtype=torch.long),
        do_sample=False,
        max_new_tokens=tokens,
    )
    stops = set(model.generation_config.eos_token_id)
    return [cut(answer, stops) for answer in answers.tolist()]


INJECTIONS = (
    "replace@input:1=9",
    "add@embedding=3",
    "add@input:2=20",
    "add_matched@output:1=8",
    "replace@output:0=raw",
    "replace@embedding=9,slots=3",
    "add_matched@output:1=8,slots=3,centred",
)
SLOTS = "Of {0}{0} and <concept>{0}</concept>:".format("{injection_char}")
"""A prompt of three slots, two of them side by side."""
MEAN = torch.linspace(-1, 1, D_MODEL)


def av_with_injection(nla: Nla, path: Path, injection: str, family: str) -> Path:
    """A copy of a tiny AV whose sidecar says this injection, with the prompt and the mean that it needs."""
    av = shutil.copytree(nla(family)[1], path / "injected")
    how = Injection.parse(injection, D_MODEL)
    sidecar = replace(read_sidecar(av), injection=how)
    if how.slots > 1:
        sidecar = with_neighbours(av, replace(sidecar, av_template=SLOTS))
    if how.centred:
        save_file({"mean": MEAN}, av / "injection_mean.safetensors")
    write_sidecar(av, sidecar)
    return av


def with_neighbours(av: Path, sidecar: Sidecar) -> Sidecar:
    """The sidecar with the tokens that stand around the markers of its prompt."""
    marker, ids = sidecar.marker, encode_av_prompt(load_tokenizer(av), sidecar)[1]
    assert marker is not None
    first, last = ids.index(marker.token_id), len(ids) - 1 - ids[::-1].index(marker.token_id)
    return replace(sidecar, marker=replace(marker, left_id=ids[first - 1], right_id=ids[last + 1]))


def vectors_for(injection: str) -> np.ndarray:
    """A row for each of VECTORS: it, or for several slots it and those behind it."""
    slots = Injection.parse(injection, D_MODEL).slots
    return VECTORS if slots == 1 else np.stack([np.roll(VECTORS, -slot, axis=0) for slot in range(slots)], 1)


def hooked_greedy(av: Path, injection: str, tokens: int) -> list[tuple[int, ...]]:
    """Greedy answers of a loop that runs all tokens at every step, with a hook that injects by one slot."""
    model: Any = full_model(av)
    kind, _, place = injection.partition(",")[0].partition("@")
    site, _, scale = place.partition("=")
    where, _, block = site.partition(":")
    slots = render_av_prompt(load_tokenizer(av), read_sidecar(av)).slots
    vectors_BSD = torch.from_numpy(vectors_for(injection)).view(len(VECTORS), -1, D_MODEL)
    if "centred" in injection:
        vectors_BSD = vectors_BSD - MEAN
    assert len(slots) == vectors_BSD.shape[1]

    def put(hidden_BTD: torch.Tensor) -> torch.Tensor:
        for slot, vectors_BD in zip(slots, vectors_BSD.unbind(1), strict=True):
            unit_BD = vectors_BD / vectors_BD.norm(dim=1, keepdim=True)
            added_BD = vectors_BD if scale == "raw" else unit_BD * float(scale or 1)
            state_BD = hidden_BTD[:, slot].clone()
            long_BD = state_BD.norm(dim=1, keepdim=True) * added_BD
            new = {"replace": added_BD, "add": state_BD + added_BD, "add_matched": state_BD + long_BD}
            hidden_BTD[:, slot] = new[kind]
        return hidden_BTD

    layers = model.get_decoder().layers
    if where == "embedding":
        hook = model.get_input_embeddings().register_forward_hook(lambda _, __, output: put(output))
    elif where == "output":
        hook = layers[int(block)].register_forward_hook(lambda _, __, output: put(output))
    else:
        hook = layers[int(block)].register_forward_pre_hook(lambda _, args: (put(args[0]), *args[1:]))
    ids_BT = torch.tensor(render_av_prompt(load_tokenizer(av), read_sidecar(av)).ids).repeat(len(VECTORS), 1)
    length = ids_BT.shape[1]
    for _ in range(tokens):
        ids_BT = torch.cat([ids_BT, model(input_ids=ids_BT).logits[:, -1].argmax(dim=-1)[:, None]], dim=1)
    hook.remove()
    stops = set(model.generation_config.eos_token_id)
    return [cut(answer, stops) for answer in ids_BT[:, length:].tolist()]


def cut(tokens: list[int], stops: set[int]) -> tuple[int, ...]:
    """Everything up to and with the first stop token."""
    ends = [index for index, token in enumerate(tokens) if token in stops]
    return tuple(tokens[: ends[0] + 1] if ends else tokens)


def by_row(generations: list[Generation]) -> dict[tuple[str, int], Generation]:
    return {(one.row_id, one.sample): one for one in generations}


class VerbalizerContract:
    """Subclass it, implement `open`, and name the class Test..."""

    def open(self, av: Path, dtype: torch.dtype = torch.float32) -> Verbalizer:
        """An engine small enough that 11 rows need several refills or batches."""
        raise NotImplementedError

    @pytest.mark.parametrize("family", FAMILIES)
    def test_greedy_answers_equal_plain_generate(self, nla: Nla, family: str) -> None:
        av = nla(family)[1]
        found = self.open(av).generate(VECTORS, ROWS, GREEDY)
        assert [one.token_ids for one in found] == plain_greedy(av, GREEDY.max_new_tokens)

    @pytest.mark.parametrize("injection", INJECTIONS)
    @pytest.mark.parametrize("family", ["qwen3", "gemma3"])
    def test_every_injection_equals_a_loop_with_a_hook(
        self, nla: Nla, tmp_path: Path, family: str, injection: str
    ) -> None:
        av = av_with_injection(nla, tmp_path, injection, family)
        found = self.open(av).generate(vectors_for(injection), ROWS, GREEDY)
        expected = hooked_greedy(av, injection, GREEDY.max_new_tokens)
        assert [one.token_ids for one in found] == expected
        assert len(set(expected)) > 1, "the vectors must matter for this test to say something"

    def test_greedy_answers_stop_where_plain_generate_stops(self, nla: Nla, tmp_path: Path) -> None:
        first = self.open(nla("gemma3")[1]).generate(VECTORS, ROWS, GREEDY)
        stops = [first[0].token_ids[3], first[5].token_ids[6]]
        av = av_with_stops(nla, tmp_path, stops, "gemma3")
        found = self.open(av).generate(VECTORS, ROWS, GREEDY)
        assert [one.token_ids for one in found] == plain_greedy(av, GREEDY.max_new_tokens)
        assert {"stop"} <= {one.finish_reason for one in found}

    def test_several_vectors_a_row(self, nla: Nla, tmp_path: Path) -> None:
        injection = "add_matched@output:1=8,slots=3,centred"
        engine, vectors = (
            self.open(av_with_injection(nla, tmp_path, injection, "qwen3")),
            vectors_for(injection),
        )
        found = engine.generate(vectors, ROWS, DRAWN)
        assert engine.generate(vectors[4:5], ROWS[4:5], DRAWN) == found[4:5]
        other = vectors.copy()
        other[4], other[5, 2], other[6, 0] = vectors[7], MEAN.numpy(), np.inf
        changed = engine.generate(other, ROWS, DRAWN)
        assert [one == two for one, two in zip(found, changed, strict=True)] == [
            row not in (4, 5, 6) for row in range(11)
        ]
        assert [one.reason for one in changed[5:7]] == [
            "the vector is zero",
            "the vector holds NaN or infinity",
        ]
        with pytest.raises(InputError, match=rf"reads \[n, 3, {D_MODEL}\]"):
            engine.generate(VECTORS, ROWS, DRAWN)

    def test_an_answer_does_not_depend_on_its_neighbours(self, nla: Nla, tmp_path: Path) -> None:
        engine = self.open(av_with_stops(nla, tmp_path, list(range(0, 330, 11))))
        alone = by_row(engine.generate(VECTORS, ROWS, DRAWN))
        lengths = {len(one.token_ids) for one in alone.values()}
        assert len(lengths) > 4, "refills must happen at different times for this test to say something"
        order = np.random.default_rng(2).permutation(len(ROWS))
        permuted = engine.generate(VECTORS[order], [ROWS[at] for at in order], DRAWN)
        assert by_row(permuted) == alone
        others = np.random.default_rng(3).standard_normal((9, D_MODEL))
        mixed = engine.generate(
            np.concatenate([others, VECTORS]), [f"other-{index}" for index in range(9)] + ROWS, DRAWN
        )
        assert {key: one for key, one in by_row(mixed).items() if key in alone} == alone
        for at in (0, 4, 10):
            assert engine.generate(VECTORS[at : at + 1], ROWS[at : at + 1], DRAWN) == [alone[ROWS[at], 0]]

    def test_requests_are_drawn_as_there_is_room(self, nla: Nla, tmp_path: Path) -> None:
        engine = self.open(av_with_stops(nla, tmp_path, list(range(0, 330, 11))))
        asked = [Request(vector, key) for key, vector in enumerate([*VECTORS, *VECTORS[:3]])]
        at_once = {answer.index: answer for answer in engine.decode(asked, DRAWN)}
        drawn, seen = list[int](), dict[int, Answer]()
        before = engine.steps.useful
        for answer in engine.decode((drawn.append(one.key) or one for one in asked), DRAWN):  # type: ignore[func-returns-value]
            if not seen:
                assert len(drawn) < len(asked)
            seen[answer.index] = answer
        assert seen == at_once
        assert engine.steps.useful - before == sum(len(one.token_ids) - 1 for one in seen.values())

    def test_samples_differ_and_come_back_alone(self, nla: Nla) -> None:
        engine = self.open(nla("qwen2")[1])
        three = engine.generate(VECTORS[:3], ROWS[:3], DRAWN, samples=3)
        assert [(one.row_id, one.sample) for one in three] == [
            (row, at) for row in ROWS[:3] for at in range(3)
        ]
        assert len({one.token_ids for one in three}) == 9
        assert engine.generate(VECTORS[:3], ROWS[:3], DRAWN) == three[::3]

    def test_seeds_reproduce_and_differ(self, nla: Nla) -> None:
        engine = self.open(nla("qwen2")[1])
        other = Sampling(max_new_tokens=24, seed=6)
        assert engine.generate(VECTORS, ROWS, DRAWN) == engine.generate(VECTORS, ROWS, DRAWN)
        assert engine.generate(VECTORS, ROWS, DRAWN) != engine.generate(VECTORS, ROWS, other)

    @pytest.mark.parametrize("family", ["qwen2", "llama", "gemma3"])
    def test_two_vectors_under_one_prompt_give_two_texts(self, nla: Nla, family: str) -> None:
        # One row id, so that both answers are drawn with the same numbers: only the vectors differ.
        one, two = self.open(nla(family)[1]).generate(VECTORS[:2], ["same", "same"], DRAWN)
        assert one.raw_text != two.raw_text

    def test_without_injection_the_vector_does_not_matter(self, nla: Nla) -> None:
        engine = self.open(nla("qwen2")[1])
        none = engine.generate(VECTORS[:2], ["same", "same"], DRAWN, injected=[False, False])
        assert none[0] == none[1]
        assert none[0] != engine.generate(VECTORS[:1], ["same"], DRAWN)[0]
        zero = engine.generate(np.zeros((1, D_MODEL)), ["same"], DRAWN, injected=[False])
        assert zero == none[:1]

    def test_scale_of_a_vector_does_not_matter(self, nla: Nla) -> None:
        engine = self.open(nla("qwen2")[1])
        plain, huge, small = (
            engine.generate(VECTORS * factor, ROWS, GREEDY) for factor in (1, 2.0**100, 2.0**-100)
        )
        assert plain == huge == small

    def test_unusable_vectors_fail_as_rows(self, nla: Nla) -> None:
        engine = self.open(nla("qwen2")[1])
        vectors = VECTORS[:5].astype(np.float64)
        vectors[1], vectors[2, 3], vectors[3, 0] = 0, np.nan, 1e300
        found = engine.generate(vectors, ROWS[:5], DRAWN, samples=2)
        assert [one.finish_reason == "failed" for one in found] == [False, False, *[True] * 6, False, False]
        assert found[2].reason == "the vector is zero"
        assert found[4].reason == found[6].reason == "the vector holds NaN or infinity"
        good = engine.generate(VECTORS[[0, 4]], [ROWS[0], ROWS[4]], DRAWN, samples=2)
        assert found[:2] + found[-2:] == good

    def test_shapes_that_do_not_belong_together_are_refused(self, nla: Nla) -> None:
        engine = self.open(nla("qwen2")[1])
        with pytest.raises(InputError, match=rf"reads \[n, {D_MODEL}\]"):
            engine.generate(VECTORS[:, 1:], ROWS, DRAWN)
        with pytest.raises(InputError, match="one id"):
            engine.generate(VECTORS, ROWS[:2], DRAWN)
        assert engine.generate(VECTORS[:0], [], DRAWN) == []

    @pytest.mark.parametrize("family", ["qwen2", "gemma3"])
    def test_an_injection_that_does_not_arrive_is_refused_at_start(
        self, nla: Nla, tmp_path: Path, family: str
    ) -> None:
        with pytest.raises(EngineError, match="injection does not arrive"):
            self.open(deaf_av(nla, tmp_path, family))

    @pytest.mark.parametrize("family", ["qwen2", "gemma2"])
    def test_bfloat16_answers_do_not_depend_on_neighbours_either(self, nla: Nla, family: str) -> None:
        engine = self.open(nla(family)[1], torch.bfloat16)
        found = by_row(engine.generate(VECTORS, ROWS, DRAWN))
        assert all(one.finish_reason != "failed" and one.token_ids for one in found.values())
        assert by_row(engine.generate(VECTORS[::-1], ROWS[::-1], DRAWN)) == found

    def test_text_is_that_of_the_tokens_without_the_stop(self, nla: Nla, tmp_path: Path) -> None:
        av = av_with_stops(nla, tmp_path, list(range(0, 330, 11)))
        tokenizer = load_tokenizer(av)
        for one in self.open(av).generate(VECTORS, ROWS, DRAWN):
            shown = one.token_ids[:-1] if one.finish_reason == "stop" else one.token_ids
            assert one.raw_text == tokenizer.decode(list(shown))
            assert len(one.token_ids) == DRAWN.max_new_tokens or one.finish_reason == "stop"
