"""The same config gives the same rows wherever its tables are."""

from __future__ import annotations

import pytest

from nla_ray.pipelines.decode.run import decode
from tests.decoded import rows_of, same_rows, sound
from tests.runtime.conftest import Make
from tests.store.conftest import (  # noqa: F401 (fixtures)
    bucket,
    place,
    s3,
    s3_endpoint,
    seaweedfs_endpoint,
)

pytestmark = pytest.mark.slow


def test_a_folder_and_two_s3_servers_hold_the_same_rows(make: Make, place: str) -> None:  # noqa: F811
    ours, theirs = make("local"), make("local")
    ours = ours.model_copy(update={"output": place, "keep": ("documents", "activations")})
    theirs = theirs.model_copy(update={"keep": ours.keep})
    assert decode(ours).run_id == decode(theirs).run_id
    sound(place)
    for view in ("all_explanations", "documents", "activations", "failures"):
        same_rows(rows_of(place, view), rows_of(theirs.output, view))
    assert decode(ours).again
