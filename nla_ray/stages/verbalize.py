"""The second stage: every vector, controls included, is turned into text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nla_ray.config.decode import DecodeConfig
from nla_ray.errors import EngineError
from nla_ray.models import directory_of
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.model.ranks import spread
from nla_ray.nla.outcomes import judge
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.verbalizer import Sampling
from nla_ray.stages.controls import Mixer, Query
from nla_ray.stages.device import device_of
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Work, places_of


class VerbalizeStage(Stage):
    """Fills in `said`: the judged answers, query by query and within one sample by sample."""

    name = "verbalize"

    def __init__(self, config: DecodeConfig) -> None:
        self._config = config

    def setup(self) -> None:
        """Load the verbalizer, with the target's chat template where it has none, and prove its injection."""
        engine, models = self._config.engine, self._config.models
        device, dtype = device_of(engine)
        self._verbalizer = spread(
            engine.ranks,
            TransformersVerbalizer,
            directory_of(models.av),
            dtype=dtype,
            device=device,
            layout=SlotLayout(engine.slots),
            template_from=None if models.target is None else directory_of(models.target, weights=False),
            injection=models.injection,
            facts=models.pair,
            trust_remote_code=models.av.trust_remote_code,
        )

    def setup_beside(self, other: VerbalizeStage) -> None:
        """See Stage."""
        mine, others = self._config.models, other._config.models
        same = (mine.av, mine.injection, mine.pair, self._config.engine) == (
            others.av,
            others.injection,
            others.pair,
            other._config.engine,
        )
        if same and (mine.target == others.target or self._template() == other._template()):
            self._verbalizer = other._verbalizer
        else:
            self.setup()

    def _template(self) -> str | None:
        """All that the verbalizer takes from a target: its chat template, and that only without its own."""
        models = self._config.models
        own = load_tokenizer(
            directory_of(models.av, weights=False),
            trust_remote_code=models.av.trust_remote_code,
            template_from=None if models.target is None else directory_of(models.target, weights=False),
        ).chat_template
        return None if own is None else str(own)

    def __call__(self, work: Work) -> Work:
        """Answers to the wanted queries. Raises EngineError where `engine.slots` do not fit into memory."""
        queries = queries_of(self._config, work)
        try:
            return self._answered(work, queries) if queries else work
        except torch.OutOfMemoryError as error:
            slots = self._config.engine.slots
            raise EngineError(
                f"engine.slots: {slots} answers at once do not fit into memory; lower it ({error})"
            ) from None

    def _answered(self, work: Work, queries: Sequence[Query]) -> Work:
        drawn = self._config.sampling
        with work.tally.timed("verbalize"):
            generations = self._verbalizer.generate(
                np.stack([query.vector for query in queries]),
                [query.row_id for query in queries],
                Sampling(drawn.temperature, drawn.top_p, drawn.max_new_tokens, self._config.seed),
                samples=drawn.samples,
                injected=[query.injected for query in queries],
            )
            work.said = [judge(generation, tagged=self._verbalizer.tagged) for generation in generations]
        work.tally.vectors = len(queries)
        work.tally.generated = sum(answer.n_tokens for answer in work.said)
        work.tally.decoders[self._verbalizer.kind] = len(queries)
        work.tally.saw_worker()
        return work


def queries_of(config: DecodeConfig, work: Work) -> list[Query]:
    """What is injected for each wanted row, in order; the same wherever it is asked."""
    mixer = Mixer(places_of(work.readings), config.controls, config.seed)
    return [query for query in mixer.queries(work.vectors) if work.wanted(query.place)]
