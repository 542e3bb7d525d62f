"""The demo target: a small Qwen2 language model that keeps the planted truth in its residual stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from nla_ray.demo.dataset import Encoded
from nla_ray.nla.model.batching import pad_right
from nla_ray.training.data import Order
from nla_ray.training.loop.optim import Trained, adamw, cosine
from nla_ray.training.losses import bag_loss, inverse_document_frequency

Report = Callable[[int, float], None]
"""Called with (step, loss) after each step."""

LAYER = 3
"""K: the output of this block is what the demo NLA reads."""
HORIZON = 24
"""How many coming tokens the look-ahead head at block K predicts as a bag."""
LOOK_AHEAD = 1.0
"""Weight of the look-ahead loss. Without it a model this small fetches the truth late, by attention, and
block K's output holds only what the next token needs: no verbalizer could read it."""
WARMUP, LONGEST = 50, 1.0
"""Steps over which the learning rate rises, and the longest gradient."""


def new_target(vocab: int, seed: int) -> Qwen2ForCausalLM:
    """A random-weight target of 6 blocks and width 128."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocab, hidden_size=128, intermediate_size=384, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=None,
    )  # fmt: skip
    return Qwen2ForCausalLM(config)


def train_target(
    model: Qwen2ForCausalLM,
    corpus: Sequence[Encoded],
    *,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    report: Report,
) -> list[float]:
    """Next-token loss plus `LOOK_AHEAD` times the bag of the next `HORIZON` tokens at block K's output."""
    vocab = model.config.vocab_size
    head = torch.nn.Linear(model.config.hidden_size, vocab)
    weights = inverse_document_frequency([doc.ids for doc in corpus], vocab)
    both = torch.nn.ModuleList([model, head])
    trained, order, losses = Trained(both, adamw(both)), Order(len(corpus), batch, seed), []
    for n in range(steps):
        rows = [corpus[row].ids for row in order.of(n)]
        ids, lengths = pad_right(rows, "cpu"), torch.tensor([len(row) for row in rows])
        labels = ids.masked_fill(torch.arange(ids.shape[1]) >= lengths[:, None], -100)
        out = model(input_ids=ids, labels=labels, output_hidden_states=True, use_cache=False)
        loss = out.loss + LOOK_AHEAD * bag_loss(
            head(out.hidden_states[LAYER + 1]), ids, lengths, HORIZON, weights
        )
        loss.backward()
        trained.move(lr * cosine(n, steps, min(WARMUP, steps // 4)), LONGEST)
        losses.append(loss.item())
        report(n, losses[-1])
    return losses
