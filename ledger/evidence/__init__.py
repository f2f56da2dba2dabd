"""Evidence packages: a period of a log in one file, whole, signed and verifiable offline.

`manifest` owns the signed table of contents, `build` makes a package out of a store, `check` verifies one offline and
`on_chain` against the contract.
"""

from ledger.evidence.build import build_package
from ledger.evidence.check import PackageReport, Progress, check_all_signed, check_package
from ledger.evidence.manifest import Manifest
from ledger.evidence.on_chain import CLOCK_TOLERANCE, ChainReport, check_package_on_chain

__all__ = [
    "CLOCK_TOLERANCE",
    "ChainReport",
    "Manifest",
    "PackageReport",
    "Progress",
    "build_package",
    "check_all_signed",
    "check_package",
    "check_package_on_chain",
]
