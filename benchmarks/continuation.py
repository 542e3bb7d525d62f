"""How many tokens per CPU second does a target continue, many prompts at once, against one at a time?

    python -m benchmarks.continuation
    python -m benchmarks.continuation --model PATH --label smollm2-135m

Every side writes the same greedy tokens on the same prompts and stops at none, in one run and in turns; CPU
seconds of one thread, so that what runs beside it counts for little. `one_at_a_time` is the plainest loop on
transformers' own cache, `generate` is transformers' at batch 1; both run the first `--peer-prompts` prompts,
ours runs all. `tokens_that_differ` is what rounding does: ours at batch 1 against the same prompts among all,
greedy and drawn at temperature 1, up to the first token of an answer that differs.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from benchmarks._common import interleave, paired_ratio, spread, write_result
from nla_ray.config.models.reference import ModelRef
from nla_ray.nla.generation.writer import Writer
from nla_ray.nla.model.backbone import load_causal_lm
from nla_ray.nla.model.resolve import resolve
from nla_ray.nla.verbalizer import Sampling

Prompts = list[list[int]]
Answers = list[tuple[int, ...]]


def main() -> None:
    """Time all sides, compare their answers and write the result."""
    args = _arguments()
    torch.set_num_threads(1)
    directory = resolve(ModelRef(path=str(args.model)))
    models: list[Any] = [load_causal_lm(directory, dtype=torch.float32, device="cpu") for _ in range(2)]
    ours, peer = models
    writer = Writer(ours, (), directory)
    size = int(peer.config.vocab_size)
    prompts = drawn(args.prompts, args.shortest, args.longest, size, args.seed)
    few, greedy = prompts[: args.peer_prompts], Sampling(temperature=0, max_new_tokens=args.tokens)
    counts = {"ours": len(prompts), "one_at_a_time": len(few), "generate": len(few)}
    said: dict[str, Answers] = {}
    sides: dict[str, Callable[[], Answers]] = {
        "ours": lambda: writer.write(prompts, [0] * len(prompts), greedy),
        "one_at_a_time": lambda: [alone(peer, one, args.tokens) for one in few],
        "generate": lambda: [generated(peer, one, args.tokens) for one in few],
    }
    calls = {name: _keeping(said, name, side) for name, side in sides.items()}
    seconds = interleave(calls, args.repeats, clock=time.process_time)
    free = Sampling(max_new_tokens=args.tokens)
    sampled = writer.write(prompts, range(len(prompts)), free)
    per_prompt = {name: [value / counts[name] for value in values] for name, values in seconds.items()}
    write_result(
        "continuation",
        "cpu",
        {
            "config": vars(args) | {"model": args.label, "kind": writer.kind},
            "prompt_tokens": sum(map(len, prompts)) / len(prompts),
            "tokens_per_cpu_second": {
                name: spread([args.tokens / value for value in values]) for name, values in per_prompt.items()
            },
            "ratio": {
                name: paired_ratio(per_prompt["ours"], per_prompt[name])
                for name in ("one_at_a_time", "generate")
            },
            "answers_that_agree": {
                name: f"{_equal(said['ours'], said[name])} of {len(few)}"
                for name in ("one_at_a_time", "generate")
            },
            "tokens_that_differ": {
                "greedy": differing(writer, prompts, said["ours"], args.compared, greedy),
                "drawn": differing(writer, prompts, sampled, args.compared, free),
            },
        },
        label=args.label,
    )


def drawn(count: int, shortest: int, longest: int, vocabulary: int, seed: int) -> Prompts:
    """Random prompts of random lengths."""
    rng = random.Random(seed)
    return [[rng.randrange(vocabulary) for _ in range(rng.randint(shortest, longest))] for _ in range(count)]


@torch.inference_mode()
def alone(model: Any, prompt: Sequence[int], tokens: int) -> tuple[int, ...]:
    """One prompt, token by token, with transformers' own cache."""
    ids_1T, answer = torch.tensor([list(prompt)]), list[int]()
    cache = DynamicCache(config=model.config)
    for _ in range(tokens):
        logits_1V = model(input_ids=ids_1T, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[
            :, -1
        ]
        ids_1T = logits_1V.argmax(dim=-1)[:, None]
        answer.append(int(ids_1T))
    return tuple(answer)


@torch.inference_mode()
def generated(model: Any, prompt: Sequence[int], tokens: int) -> tuple[int, ...]:
    """The same by `generate`."""
    ids_1T = torch.tensor([list(prompt)])
    model.generation_config.eos_token_id = None
    whole_1T = model.generate(
        ids_1T,
        attention_mask=torch.ones_like(ids_1T),
        do_sample=False,
        max_new_tokens=tokens,
        pad_token_id=0,
    )
    return tuple(whole_1T[0, len(prompt) :].tolist())


def differing(
    writer: Writer, prompts: Prompts, together: Answers, compared: int, sampling: Sampling
) -> dict[str, int]:
    """Answers of which a token differs between batch 1 and all together, and the tokens up to there."""
    single = [writer.write([prompts[at]], [at], sampling)[0] for at in range(compared)]
    tokens = answers = 0
    for one, other in zip(together, single, strict=False):
        pairs = zip(one, other, strict=True)
        first = next((at for at, (left, right) in enumerate(pairs) if left != right), None)
        tokens += len(one) if first is None else first + 1
        answers += first is not None
    return {"answers_that_differ": answers, "answers": compared, "tokens_compared": tokens}


def _keeping(said: dict[str, Answers], name: str, side: Callable[[], Answers]) -> Callable[[], None]:
    def call() -> None:
        said[name] = side()

    return call


def _equal(ours: Answers, theirs: Answers) -> int:
    return sum(mine == other for mine, other in zip(ours, theirs, strict=False))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="demo:target", help="a model directory, or a name")
    parser.add_argument("--label", default="demo-target", help="what the model is called in the result")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--peer-prompts", type=int, default=8)
    parser.add_argument("--compared", type=int, default=64, help="prompts, for `tokens_that_differ`")
    parser.add_argument("--shortest", type=int, default=8)
    parser.add_argument("--longest", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
