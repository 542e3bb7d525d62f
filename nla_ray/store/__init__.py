"""Tables on a folder or on S3: write-once units, one commit per run, verified reading with SQL."""

from nla_ray.store.address import open_store
from nla_ray.store.read import connect
from nla_ray.store.run import open_run
from nla_ray.store.verify import verify

__all__ = ["connect", "open_run", "open_store", "verify"]
