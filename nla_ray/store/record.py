"""The base of what a store keeps as JSON."""

from __future__ import annotations

from pydantic import ConfigDict

from nla_ray.config.base import Config


class Record(Config):
    """A record. Every process that reads tables makes its classes, so no source is read for docstrings.

    What a field means stands in its description.
    """

    model_config = ConfigDict(use_attribute_docstrings=False)
