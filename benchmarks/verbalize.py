"""How many vectors per second does our engine verbalize, against plain `generate(inputs_embeds=...)`?

    python -m benchmarks.verbalize
    python -m benchmarks.verbalize --preset qwen2.5-7b --device cuda --dtype bfloat16

Both sides get the same vectors, prompt, weights, dtype, device and threads and draw at temperature 1. Answers
are as long as those of the demo's decode (`real`, from answer_lengths.json), or all of `--tokens` (`equal`).
Ours has as many slots as the peer has rows in a batch; the peer runs every batch to its longest answer. CPU
seconds are counted on a CPU, where others may be at work. How many greedy answers agree is in the result.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from benchmarks._common import PRESETS, interleave, paired_ratio, random_checkpoint, spread, write_result
from nla_ray.config.models.injection import Injection
from nla_ray.nla.engines import slots
from nla_ray.nla.engines.packing import pack
from nla_ray.nla.engines.slots import SlotDecoder, SlotLayout
from nla_ray.nla.generation.sampling import choose, uniforms
from nla_ray.nla.model.backbone import DTYPES, alone, load_causal_lm
from nla_ray.nla.model.slots import attention
from nla_ray.nla.verbalizer import Request, Sampling

PROMPT_TOKENS, SLOT, SCALE = 125, 111, 150.0
INJECTION = Injection.replacing(SCALE)
"""The prompt of the released Qwen2.5-7B verbalizer."""

LENGTHS = Path(__file__).parent / "answer_lengths.json"
STOP, GREEDY = 0, 8
"""The token that ends an answer; tokens of a greedy answer."""

H100_VECTORS_PER_SECOND = {
    "expected": {"naive": 128, "shared_prefill": 200, "shared_prefix_attention": 224, "fp8": 318},
    "ceilings": {"naive": 201, "shared_prefill": 318, "shared_prefix_attention": 350},
}
"""Qwen2.5-7B in bf16 on one H100, from its measured 790 TFLOP/s and 3.0 TB/s."""


def main() -> None:
    """Time both sides at every batch size and write the result."""
    args = _arguments()
    if not args.device.startswith("cuda"):
        torch.set_num_threads(args.threads)
    rng = random.Random(args.seed)
    prompt = [rng.randrange(PRESETS[args.preset]["vocab_size"]) for _ in range(PROMPT_TOKENS)]
    with tempfile.TemporaryDirectory() as scratch:
        directory = args.model or Path(scratch)
        dtype = DTYPES[args.dtype]
        random_checkpoint(args.preset, directory, dtype=dtype, device=args.device)
        ours = load_causal_lm(directory, dtype=dtype, device=args.device, attention=attention.NAME)
        pack(ours)
        with alone():
            peer: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).to(args.device).eval()
    results: dict[str, dict[str, Any]] = {}
    for batch in args.batches:
        decoder = SlotDecoder(ours, prompt, (SLOT,), (STOP,), INJECTION, SlotLayout(batch))
        for name in args.lengths:
            lengths = lengths_of(name, batch * args.rounds, args.tokens, args.seed)
            sides = Sides(decoder, peer, prompt, lengths, args.seed)
            results.setdefault(str(batch), {})[name] = measure(sides, args.repeats)
    write_result(
        "verbalize",
        args.device,
        {
            "peer": "AutoModelForCausalLM.generate(inputs_embeds=...), do_sample, temperature 1",
            "config": vars(args) | {"model": args.preset, "prompt_tokens": PROMPT_TOKENS, "slot": SLOT},
            "batches": results,
        }
        | ({"one_h100": H100_VECTORS_PER_SECOND} if args.preset == "qwen2.5-7b" else {}),
        label=args.preset,
    )


def lengths_of(name: str, rows: int, tokens: int, seed: int) -> list[int]:
    """Tokens of every answer: all the same, or drawn from those of real answers."""
    if name == "equal":
        return [tokens] * rows
    counts = json.loads(LENGTHS.read_text(encoding="utf-8"))["answers"]
    return random.Random(seed).choices([int(length) for length in counts], list(counts.values()), k=rows)


class Sides:
    """The two ways from vectors to token ids, of which row i gets `lengths[i]`."""

    def __init__(
        self, decoder: SlotDecoder, peer: Any, prompt: list[int], lengths: list[int], seed: int
    ) -> None:
        self.decoder, self.lengths, self._peer = decoder, lengths, peer
        generator = np.random.default_rng(seed)
        self._vectors = generator.standard_normal((len(lengths), decoder.d_model)).astype(np.float32)
        ids = torch.tensor(prompt, device=decoder.device)
        embeds_BTD = peer.get_input_embeddings()(ids).detach().repeat(len(lengths), 1, 1)
        unit = self._vectors / np.linalg.norm(self._vectors, axis=1, keepdims=True)
        embeds_BTD[:, SLOT] = torch.from_numpy(SCALE * unit).to(embeds_BTD)
        self._embeds_BTD = embeds_BTD

    def ours(self, temperature: float = 1.0, most: int = 10**6) -> list[tuple[int, ...]]:
        """Answers of our engine, in the order of the vectors."""
        lengths = torch.tensor(self.lengths, device=self.decoder.device).clamp(max=most)
        requests = [Request(vector, key) for key, vector in enumerate(self._vectors)]
        sampling = Sampling(temperature, max_new_tokens=int(lengths.max()))
        with ending(lengths):
            answers = sorted(self.decoder.decode(requests, sampling), key=lambda answer: answer.index)
        return [answer.token_ids for answer in answers]

    @torch.inference_mode()
    def peer(self, temperature: float = 1.0, most: int = 10**6) -> list[tuple[int, ...]]:
        """Answers of plain `generate`, batch by batch; behind its own length an answer is no answer."""
        drawing = {"temperature": temperature, "top_k": 0} if temperature else {}
        batch, answers = self.decoder.layout.slots, list[tuple[int, ...]]()
        for start in range(0, len(self.lengths), batch):
            embeds_BTD = self._embeds_BTD[start : start + batch]
            wanted = [min(length, most) for length in self.lengths[start : start + batch]]
            found = self._peer.generate(
                inputs_embeds=embeds_BTD,
                attention_mask=torch.ones(embeds_BTD.shape[:2], dtype=torch.long, device=embeds_BTD.device),
                do_sample=bool(drawing),
                max_new_tokens=max(wanted),
                **drawing,
            ).tolist()
            answers += [tuple(one[:length]) for one, length in zip(found, wanted, strict=True)]
        return answers


@contextmanager
def ending(lengths_N: torch.Tensor) -> Iterator[None]:
    """Let the answer under key i stop at its length: weights drawn at random know no end."""
    now = [torch.empty(0)]

    def drawn(keys_B: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
        now[0] = steps_B + 1 >= lengths_N[keys_B]
        return uniforms(keys_B, steps_B)

    def chosen(logits_BV: torch.Tensor, *how: Any) -> torch.Tensor:
        return torch.where(now[0], STOP, choose(logits_BV[:, 1:], *how) + 1)

    with mock.patch.multiple(slots, uniforms=drawn, choose=chosen):
        yield


def measure(sides: Sides, repeats: int) -> dict[str, Any]:
    """Vectors per second of both sides at one batch size, their ratio, and how many greedy answers agree."""
    pairs = zip(sides.ours(0, GREEDY), sides.peer(0, GREEDY), strict=True)
    agree = [mine[:-1] == theirs[:-1] for mine, theirs in pairs]
    steps = replace(sides.decoder.steps)
    calls: dict[str, Callable[[], object]] = {"ours": sides.ours, "peer": sides.peer}
    clock = time.perf_counter if sides.decoder.device.type == "cuda" else time.process_time
    seconds = interleave(calls, repeats, clock, warm=False)
    used = sides.decoder.steps - steps
    return {
        "greedy_answers_that_agree": f"{sum(agree)} of {len(agree)}",
        "tokens": {"mean": statistics.fmean(sides.lengths), "max": max(sides.lengths)},
        "slot_use": used.useful / used.slots,
        "vectors_per_second": {
            name: spread([len(sides.lengths) / value for value in values]) for name, values in seconds.items()
        },
        "ratio": paired_ratio(seconds["ours"], seconds["peer"]),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="19m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[64, 256], help="rows of the peer, and slots of ours"
    )
    parser.add_argument("--rounds", type=int, default=4, help="batches of vectors in a call")
    parser.add_argument("--lengths", choices=["real", "equal"], nargs="+", default=["real", "equal"])
    parser.add_argument("--tokens", type=int, default=120, help="of an answer, where all are equal")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="keep the random checkpoint here and use it again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
