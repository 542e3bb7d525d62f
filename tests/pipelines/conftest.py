"""An S3 place for pipelines."""

from tests.store.conftest import bucket, s3, s3_endpoint  # noqa: F401 (fixtures)
