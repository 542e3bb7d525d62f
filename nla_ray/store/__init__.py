"""Tables on a folder or on S3: write-once units, one commit per run, verified reading with SQL."""

from nla_ray.store.places.address import open_store
from nla_ray.store.runs.run import open_run
from nla_ray.store.runs.verify import verify
from nla_ray.store.sql.read import connect

__all__ = ["connect", "open_run", "open_store", "verify"]
