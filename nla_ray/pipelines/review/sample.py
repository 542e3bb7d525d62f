"""What there is to be judged of the runs that an audit names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nla_ray.audit.detect.judge import Judge
from nla_ray.audit.detect.others import Helpers, asking, check_helpers
from nla_ray.audit.review.draw import Item, draw, note_near_misses, sample_of
from nla_ray.config.audit import AuditConfig
from nla_ray.config.detectors.packs import Packs
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.audit.audited import Opened
from nla_ray.pipelines.audit.run import Doing, embedder_of, open_source, packs_of, search
from nla_ray.store import open_store
from nla_ray.store.places.objects import Store


@dataclass(frozen=True)
class Review:
    """Runs that an audit names, the detectors that are asked about, and where verdicts are kept."""

    config: AuditConfig
    packs: Packs
    opened: Opened
    review_id: str
    store: Store

    @property
    def claims(self) -> dict[str, str]:
        """What each detector claims, by its id."""
        return {one.id: f"{one.title}: {one.description}" for one in self.packs.detectors}


def open_review(config: AuditConfig, detectors: Collection[str] = (), *, seed: int = 0) -> Review:
    """The review of the runs that an audit names; nothing is searched or written yet.

    `detectors` are those to ask about, all of the audit's without; `seed` is that of the sample. Raises
    ConfigError and InputError for detectors and tables that are not there, as `audit` does.
    """
    packs = packs_of(config)
    packs = packs.only(detectors) if detectors else packs
    if not packs.detectors:
        raise ConfigError("packs: hold no detector, so there is nothing to review; name others")
    opened = open_source(config.source)
    store = open_store(config.results or config.source.tables)
    return Review(config, packs, opened, sample_of(opened.runs, seed), store)


def draw_sample(review: Review, each: int, doing: Doing = lambda what: None) -> dict[str, Item]:
    """The sample of `each` hits of every detector and others, by id, in the order of asking; see `draw`.

    Raises ConfigError for a detector without its helper, InputError where there is nothing to ask about.
    """
    config, packs, connection = review.config, review.packs, review.opened.connection
    helpers = Helpers(
        ask=asking(config.source.tables, config.source.runs or None),
        embed=embedder_of(config, packs),
        judge=None if config.judge is None else Judge(config.judge),
    )
    check_helpers(packs.detectors, helpers)
    doing("searching for hits and near misses")
    note_near_misses(connection, packs, tuple(review.opened.runs), helpers)
    search(review.opened, packs, config, helpers)
    if helpers.judge is not None:
        helpers.judge.close()
    doing("drawing the sample")
    items = draw(connection, packs.detectors, review.review_id, each)
    if not items:
        raise InputError(
            f"{config.source.tables}: none of {len(packs.detectors)} detectors has an explanation in scope; "
            "nothing can be reviewed"
        )
    return {one.hit: one for one in items}
