"""Comparing the rows of a restored database with the objects that are in storage."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from fieldgate.db.tables.media import media
from uploads.processing import variant_keys

# Of what is named one by one.
SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is as it must be, and what there is to know of it."""

    what: str
    is_good: bool
    told: str


def compare(connection: Connection, originals: str, published: str) -> list[Finding]:
    """Say which media have lost their objects, and how many objects belong to nobody.

    `originals` and `published` are buckets. An object without a row was uploaded after the moment
    that the database is of, or its row is deleted: nothing is broken, and nobody will find it.
    """
    rows = connection.execute(select(media.c.object_key, media.c.state, media.c.deleted_at)).all()
    whole = [row for row in rows if row.deleted_at is None and row.state in {"ready", "stored"}]
    wanted = {
        originals: {row.object_key for row in whole},
        published: {
            key for row in whole if row.state == "ready" for key in variant_keys(row.object_key)
        },
    }
    known = {
        originals: {row.object_key for row in rows},
        published: {key for row in rows for key in variant_keys(row.object_key)},
    }
    return [_finding(bucket, wanted[bucket], known[bucket]) for bucket in (originals, published)]


def _finding(bucket: str, wanted: set[str], known: set[str]) -> Finding:
    there = set(_keys(bucket))
    missing = sorted(wanted - there)
    told = f"{len(wanted):,} wanted, {len(missing):,} missing, {len(there - known):,} of no row"
    if missing:
        told += f"; missing: {', '.join(missing[:SHOWN])}{' …' * (len(missing) > SHOWN)}"
    return Finding(f"objects in {bucket}", not missing, told)


def _keys(bucket: str) -> Iterator[str]:
    import boto3  # noqa: PLC0415 only where there are buckets to look at

    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for page in pages:
        for found in page.get("Contents", []):
            yield found["Key"]
