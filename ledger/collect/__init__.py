"""Importers: what other systems logged becomes events. `base` says how a collector is written."""

from __future__ import annotations

from ledger.collect.actiontrail import ActionTrail
from ledger.collect.base import Collected, Collector, Gatherer, Outcome, SetAside, Tally, collect
from ledger.collect.cloudfront import CloudFront
from ledger.collect.cloudtrail import CloudTrail
from ledger.collect.generic import FieldMapping, Generic, parse_mapping
from ledger.collect.nginx import Nginx
from ledger.collect.oss import Oss
from ledger.collect.postgresql_logs import PostgresqlLogs
from ledger.collect.s3 import S3
from ledger.collect.watch import Watch
from ledger.collect.zeek import Place, Places, Zeek, parse_places

__all__ = [
    "S3",
    "ActionTrail",
    "CloudFront",
    "CloudTrail",
    "Collected",
    "Collector",
    "FieldMapping",
    "Gatherer",
    "Generic",
    "Nginx",
    "Oss",
    "Outcome",
    "Place",
    "Places",
    "PostgresqlLogs",
    "SetAside",
    "Tally",
    "Watch",
    "Zeek",
    "collect",
    "parse_mapping",
    "parse_places",
]
