"""A corpus that cannot be reached for a while: the run ends in one line and goes on by the same command."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow.json
import pyarrow.parquet as pq
import pytest

from nla_ray.config.decode import DecodeConfig
from nla_ray.errors import Exit, UnreachableError
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.run import decode, stages_of
from nla_ray.stages.stage import Stage
from nla_ray.store.places.objects import Store
from nla_ray.store.places.remote import asking
from tests.cli.conftest import Invoke, invoke  # noqa: F401 (fixture)
from tests.decoded import rows_of, sound
from tests.runtime.conftest import Make
from tests.runtime.stages import Elsewhere
from tests.store.conftest import BUCKET, client_of, seaweedfs_endpoint, use_s3  # noqa: F401 (fixture)
from tests.store.faults import Request, faulty

ROWS = 8 * 2 * 2 * 5


def units_in(output: str | Path) -> int:
    return len(list(Path(output).glob("explanations/*/unit=*.parquet")))


class Outage:
    """Every GET is refused from the moment on at which so many units are written."""

    def __init__(self, output: str, units: int) -> None:
        self._output, self._units = Path(output), units
        self.over = False

    def __call__(self, request: Request) -> str | None:
        works = self.over or request.command == "HEAD" or units_in(self._output) < self._units
        return None if works else "AccessDenied"


def on_s3(config: DecodeConfig, server: str) -> DecodeConfig:
    """The same documents in a Parquet file on a server."""
    table = pyarrow.json.read_json(config.corpus.paths[0])
    name = f"{uuid.uuid4().hex}.parquet"
    with pq.ParquetWriter(name, table.schema) as writer:
        writer.write_table(table, row_group_size=3)
    client_of(server).put_object(Bucket=BUCKET, Key=name, Body=Path(name).read_bytes())
    corpus = config.corpus.model_copy(update={"paths": (f"s3://{BUCKET}/{name}",)})
    return config.model_copy(update={"corpus": corpus})


def whole(output: str) -> None:
    sound(output)
    assert len(rows_of(output)) == ROWS and rows_of(output, "failures") == []


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(asking, "PATIENCE", 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("units", [0, 1])
def test_the_command_ends_in_one_line_and_goes_on(
    units: int,
    make: Make,
    invoke: Invoke,  # noqa: F811
    seaweedfs_endpoint: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = on_s3(make("local"), seaweedfs_endpoint)
    Path("decode.yaml").write_text(config.model_dump_json())
    outage = Outage(config.output, units)
    with faulty(seaweedfs_endpoint, outage) as endpoint:
        use_s3(monkeypatch, endpoint, tmp_path / "cache")
        for _ in range(2):
            line = invoke("decode", "decode.yaml").refused(Exit.TRY_AGAIN)
            assert config.corpus.paths[0] in line and "access denied" in line
            assert line.endswith("run the same command again: it continues")
            assert units_in(config.output) == units
        outage.over = True
        assert invoke("decode", "decode.yaml").code == 0
    whole(config.output)


@pytest.mark.slow
def test_a_worker_of_ray_says_so_too(
    make: Make,
    ray_cluster: None,
    seaweedfs_endpoint: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = on_s3(make("fused"), seaweedfs_endpoint)
    outage = Outage(config.output, 1)

    def stages(ready: Decode, store: Store) -> Sequence[Stage]:
        settings = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        extract, *rest = stages_of(ready, store)
        return [Elsewhere(extract, settings), *rest]

    with faulty(seaweedfs_endpoint, outage) as endpoint:
        use_s3(monkeypatch, endpoint, tmp_path / "cache")
        for runner in (make("local").runner, config.runner):
            # The first one plans: tasks on the cluster have not the settings of this test.
            with pytest.raises(UnreachableError, match="could not be read: access denied"):
                decode(config.model_copy(update={"runner": runner}), stages=stages)
        outage.over = True
        assert decode(config, stages=stages).failed_fraction == 0
    whole(config.output)
