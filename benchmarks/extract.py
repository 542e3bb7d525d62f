"""How many useful tokens per second does extraction read, against plain `output_hidden_states=True`?

    python -m benchmarks.extract
    python -m benchmarks.extract --preset qwen2.5-7b --device cuda --dtype bfloat16

Both sides get the same documents, positions, weights, dtype, device and threads and return the same vectors;
their largest difference is in the result. The peer is what one writes first: AutoModelForCausalLM with all
hidden states, padded batches in corpus order. Useful tokens are those up to a document's last position.
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
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.model.backbone import DTYPES, alone


def main() -> None:
    """Time both sides and write the result."""
    args = _arguments()
    if not args.device.startswith("cuda"):
        torch.set_num_threads(args.threads)
    dtype = DTYPES[args.dtype]
    vocabulary, blocks = (PRESETS[args.preset][key] for key in ("vocab_size", "num_hidden_layers"))
    layer = round(blocks * 2 / 3) if args.layer is None else args.layer
    documents, positions = corpus(args.documents, args.positions, vocabulary, args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        directory = args.model or Path(scratch)
        random_checkpoint(args.preset, directory, dtype=dtype, device=args.device)
        ours = Extractor(directory, [layer], dtype=dtype, device=args.device, batch_tokens=args.batch_tokens)
        peer = Peer(directory, layer, dtype, args.device, args.peer_batch)
    sides: dict[str, Callable[[], list[np.ndarray]]] = {
        "ours": lambda: ours.extract(documents, positions),
        "peer": lambda: peer.extract(documents, positions),
    }
    difference = _difference(sides["ours"](), sides["peer"]())
    seconds = interleave(sides, args.repeats)
    useful = sum(max(chosen) + 1 for chosen in positions)
    write_result(
        "extract",
        args.device,
        {
            "peer": "AutoModelForCausalLM(output_hidden_states=True), padded batches in corpus order",
            "config": vars(args) | {"layer": layer, "blocks": blocks, "model": str(args.preset)},
            "corpus": _describe(documents, useful),
            "largest_relative_difference": difference,
            "useful_tokens_per_second": {
                name: spread([useful / value for value in values]) for name, values in seconds.items()
            },
            "ratio": paired_ratio(seconds["ours"], seconds["peer"]),
        },
        label=args.preset,
    )


class Peer:
    """Plain transformers: every block, the lm_head, every layer's hidden states, padding to the longest."""

    def __init__(self, directory: Path, layer: int, dtype: torch.dtype, device: str, batch: int) -> None:
        with alone():
            model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype)
        self._model: Any = model.to(device).eval()
        self._layer, self._device, self._batch = layer, device, batch

    @torch.inference_mode()
    def extract(self, documents: list[list[int]], positions: list[list[int]]) -> list[np.ndarray]:
        """Vectors [n_positions, d] of each document, float32."""
        vectors = []
        for start in range(0, len(documents), self._batch):
            rows = documents[start : start + self._batch]
            longest = max(len(row) for row in rows)
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self._device)
            mask = torch.tensor(
                [[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self._device
            )
            output = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            hidden = output.hidden_states[self._layer + 1]
            for row, chosen in enumerate(positions[start : start + self._batch]):
                vectors.append(hidden[row, chosen].float().cpu().numpy())
        return vectors


def corpus(n: int, per_document: int, vocabulary: int, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Random documents of lognormal length (median 128, 16 to 512) with positions drawn uniformly in each."""
    rng = random.Random(seed)
    documents = []
    for _ in range(n):
        length = min(512, max(16, round(rng.lognormvariate(np.log(128), 0.8))))
        documents.append([rng.randrange(vocabulary) for _ in range(length)])
    positions = [sorted(rng.sample(range(len(ids)), per_document)) for ids in documents]
    return documents, positions


def _difference(ours: list[np.ndarray], peer: list[np.ndarray]) -> float:
    """Largest distance of two vectors for the same position, as a share of their norm."""
    mine, theirs = np.concatenate(ours)[:, 0], np.concatenate(peer)
    return float((np.linalg.norm(mine - theirs, axis=1) / np.linalg.norm(theirs, axis=1)).max())


def _describe(documents: list[list[int]], useful: int) -> dict[str, float | int]:
    lengths = [len(ids) for ids in documents]
    return {
        "documents": len(lengths),
        "tokens": sum(lengths),
        "longest": max(lengths),
        "useful_tokens": useful,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="19m")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--documents", type=int, default=256)
    parser.add_argument("--positions", type=int, default=8, help="selected per document")
    parser.add_argument("--layer", type=int, help="K; default two thirds of the blocks")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-tokens", type=int, default=2048, help="ours")
    parser.add_argument("--peer-batch", type=int, default=16, help="documents per batch of the peer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="keep the random checkpoint here and use it again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
