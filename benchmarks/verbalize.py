"""How many vectors per second does our engine verbalize, against plain `generate(inputs_embeds=...)`?

    python -m benchmarks.verbalize
    python -m benchmarks.verbalize --preset qwen2.5-7b --device cuda --dtype bfloat16

Both sides get the same vectors, prompt, weights, dtype, device and threads, draw at temperature 1 and write
exactly `--tokens` tokens per vector (no stop token). The peer is one batch in one call of `generate`, prompts
embedded in advance. How many greedy answers agree is in the result.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from benchmarks._common import PRESETS, interleave, paired_ratio, random_checkpoint, spread, write_result
from nla_ray.config.models.injection import Injection
from nla_ray.nla.engines.packing import pack
from nla_ray.nla.engines.slots import SlotDecoder, SlotLayout
from nla_ray.nla.model.backbone import DTYPES, alone, load_causal_lm
from nla_ray.nla.model.slots import attention
from nla_ray.nla.verbalizer import Request, Sampling

PROMPT_TOKENS, SLOT, SCALE = 125, 111, 150.0
INJECTION = Injection.replacing(SCALE)
"""The prompt of the released Qwen2.5-7B verbalizer."""

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
    # Answers of one length leave no slot idle: large cohorts have fewer products a step.
    cohort = args.cohort or (128 if args.device.startswith("cuda") else 64)
    batches = {}
    for batch in args.batches:
        layout = SlotLayout(batch, min(cohort, batch))
        sides = Sides(
            SlotDecoder(ours, prompt, (SLOT,), (), INJECTION, layout), peer, prompt, batch, args.seed
        )
        batches[str(batch)] = measure(sides, args.tokens, args.repeats)
    write_result(
        "verbalize",
        args.device,
        {
            "peer": "AutoModelForCausalLM.generate(inputs_embeds=...), one batch, do_sample, temperature 1",
            "config": vars(args)
            | {"model": args.preset, "cohort": cohort, "prompt_tokens": PROMPT_TOKENS, "slot": SLOT},
            "batches": batches,
        }
        | ({"one_h100": H100_VECTORS_PER_SECOND} if args.preset == "qwen2.5-7b" else {}),
        label=args.preset,
    )


class Sides:
    """The two ways from one batch of vectors to token ids."""

    def __init__(self, decoder: SlotDecoder, peer: Any, prompt: list[int], batch: int, seed: int) -> None:
        self._decoder, self._peer, self.batch = decoder, peer, batch
        generator = np.random.default_rng(seed)
        self._vectors = generator.standard_normal((batch, decoder.d_model)).astype(np.float32)
        ids = torch.tensor(prompt, device=decoder.device)
        embeds_BTD = peer.get_input_embeddings()(ids).detach().repeat(batch, 1, 1)
        unit = self._vectors / np.linalg.norm(self._vectors, axis=1, keepdims=True)
        embeds_BTD[:, SLOT] = torch.from_numpy(SCALE * unit).to(embeds_BTD)
        self._embeds_BTD = embeds_BTD

    def ours(self, sampling: Sampling) -> list[tuple[int, ...]]:
        """Answers of our engine, in the order of the vectors."""
        requests = [Request(vector, key) for key, vector in enumerate(self._vectors)]
        answers = sorted(self._decoder.decode(requests, sampling), key=lambda answer: answer.index)
        return [answer.token_ids for answer in answers]

    @torch.inference_mode()
    def peer(self, sampling: Sampling) -> list[tuple[int, ...]]:
        """Answers of plain `generate`."""
        drawing = {"temperature": sampling.temperature, "top_k": 0} if sampling.temperature else {}
        answers = self._peer.generate(
            inputs_embeds=self._embeds_BTD,
            attention_mask=torch.ones(
                self._embeds_BTD.shape[:2], dtype=torch.long, device=self._decoder.device
            ),
            do_sample=bool(drawing),
            max_new_tokens=sampling.max_new_tokens,
            **drawing,
        )
        return [tuple(answer) for answer in answers.tolist()]


def measure(sides: Sides, tokens: int, repeats: int) -> dict[str, Any]:
    """Vectors per second of both sides at one batch size, their ratio, and how many greedy answers agree."""
    greedy, drawn = Sampling(temperature=0, max_new_tokens=min(16, tokens)), Sampling(max_new_tokens=tokens)
    agree = [mine == theirs for mine, theirs in zip(sides.ours(greedy), sides.peer(greedy), strict=True)]
    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: sides.ours(drawn),
        "peer": lambda: sides.peer(drawn),
    }
    seconds = interleave(calls, repeats)
    return {
        "greedy_answers_that_agree": f"{sum(agree)} of {len(agree)}",
        "vectors_per_second": {
            name: spread([sides.batch / value for value in values]) for name, values in seconds.items()
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
        "--batches", type=int, nargs="+", default=[64, 256], help="vectors, and slots of ours"
    )
    parser.add_argument("--cohort", type=int, help="ours: slots that start together; 64, on CUDA 128")
    parser.add_argument("--tokens", type=int, default=120, help="written per vector, by both")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="keep the random checkpoint here and use it again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
