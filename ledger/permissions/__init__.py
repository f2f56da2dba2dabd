"""Permissions: who may reach what, how that changed, and whether it was used.

`grants` is the normal form that every source's permissions take, `reach` what they add up to for the public and for
outsiders, `difference` what changed between two snapshots, `judging` whether one access was permitted, `reconciliation`
how all accesses and grants fit together. It is all pure, and it errs to one side: where a policy cannot be decided from
the snapshot, access counts as given.
"""

from __future__ import annotations

from ledger.permissions.difference import Change, Difference, apply, difference, in_words
from ledger.permissions.grants import Effect, Grant, Kind, parse_grant, parse_grants, to_value
from ledger.permissions.judging import (
    Caveat,
    Judgement,
    Snapshot,
    Verdict,
    enclosing,
    judge,
    names_of,
    resource_key,
)
from ledger.permissions.reach import Owner, Reach, reach
from ledger.permissions.reconciliation import GrantUse, Reconciliation, allowances, reconcile

__all__ = [
    "Caveat",
    "Change",
    "Difference",
    "Effect",
    "Grant",
    "GrantUse",
    "Judgement",
    "Kind",
    "Owner",
    "Reach",
    "Reconciliation",
    "Snapshot",
    "Verdict",
    "allowances",
    "apply",
    "difference",
    "enclosing",
    "in_words",
    "judge",
    "names_of",
    "parse_grant",
    "parse_grants",
    "reach",
    "reconcile",
    "resource_key",
    "to_value",
]
