"""Importers: what other systems logged becomes events. `base` says how a collector is written."""

from __future__ import annotations

from ledger.collect.base import Collected, Collector, Outcome, SetAside, Tally, collect
from ledger.collect.cloudtrail import CloudTrail

__all__ = ["CloudTrail", "Collected", "Collector", "Outcome", "SetAside", "Tally", "collect"]
