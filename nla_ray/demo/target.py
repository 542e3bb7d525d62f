"""The demo target: a small Qwen2 language model that keeps the planted truth in its residual stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from nla_ray.demo.dataset import Encoded, Example, pad, shuffled_batches
from nla_ray.training.loop import Report, fit
from nla_ray.training.losses import bag_loss, inverse_document_frequency, next_token_loss

LAYER = 3
"""K: the output of this block is what the demo NLA reads."""
HORIZON = 24
"""How many coming tokens the look-ahead head at block K predicts as a bag."""
LOOK_AHEAD = 1.0
"""Weight of the look-ahead loss. Without it a model this small fetches the truth late, by attention, and
block K's output holds only what the next token needs: no verbalizer could read it."""


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
    rows = shuffled_batches(len(corpus), batch, seed)

    def loss_of(_: int) -> torch.Tensor:
        ids, lengths = pad([corpus[i].ids for i in next(rows)], pad_id=0)
        out = model(input_ids=ids, output_hidden_states=True, use_cache=False)
        labels = ids.masked_fill(torch.arange(ids.shape[1]) >= lengths[:, None], -100)
        ahead = bag_loss(head(out.hidden_states[LAYER + 1]), ids, lengths, HORIZON, weights)
        loss: torch.Tensor = next_token_loss(out.logits, labels) + LOOK_AHEAD * ahead
        return loss

    return fit([*model.parameters(), *head.parameters()], loss_of, steps=steps, lr=lr, report=report)


@torch.no_grad()
def activations(
    model: Qwen2ForCausalLM, corpus: Sequence[Encoded], wanted: Iterable[Example]
) -> torch.Tensor:
    """[N, D] float32 outputs of block K at the wanted places, in their order."""
    places = list(wanted)
    model.eval()  # type: ignore[no-untyped-call]
    vectors = torch.empty(len(places), model.config.hidden_size)
    order = sorted(range(len(places)), key=lambda i: places[i].doc)
    for first in range(0, len(order), 256):
        chosen = order[first : first + 256]
        docs = sorted({places[i].doc for i in chosen})
        ids, _ = pad([corpus[d].ids for d in docs], pad_id=0)
        hidden = model.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[
            LAYER + 1
        ]
        row = {d: r for r, d in enumerate(docs)}
        for i in chosen:
            vectors[i] = hidden[row[places[i].doc], places[i].position].float()
    return vectors
