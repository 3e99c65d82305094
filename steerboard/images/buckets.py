"""``s3://`` through pyarrow, which is there already: what keeps pictures and catalogues in buckets.

Keys, region and endpoint are those of the AWS tools: ``AWS_ACCESS_KEY_ID``, ``AWS_REGION``,
``AWS_ENDPOINT_URL`` (MinIO, Ceph and others name theirs there). Where ``s3fs`` is installed, fsspec
takes that, as everywhere else.
"""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import S3FileSystem

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class Buckets(ArrowFSWrapper):  # type: ignore[misc]
    """An fsspec file system of buckets; ``s3://bucket/key``.

    Args:
        options: Of ``pyarrow.fs.S3FileSystem``, in place of what the environment says.
    """

    protocol = ("s3", "s3a")
    root_marker = ""

    def __init__(self, **options: Any) -> None:
        known = {name: value for name, value in options.items() if name not in OF_FSSPEC}
        super().__init__(S3FileSystem(**{**endpoint(os.environ), **known}))

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path)
        for name in cls.protocol:
            text = text.removeprefix(f"{name}://")
        return text.strip("/")

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: a bucket has keys, and no folders."""

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Nothing, see ``makedirs``."""


OF_FSSPEC = ("skip_instance_cache", "use_listings_cache", "asynchronous", "loop")


def endpoint(environment: Mapping[str, str]) -> dict[str, str]:
    """Options of another place than Amazon's, where the environment names one."""
    place = next((environment[name] for name in ENDPOINTS if environment.get(name)), "")
    if not place:
        return {}
    found = urlsplit(place if "://" in place else f"https://{place}")
    return {"endpoint_override": found.netloc, "scheme": found.scheme}
