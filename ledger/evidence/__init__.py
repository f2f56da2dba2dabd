"""Evidence packages: a period of a log in one file, whole, signed and verifiable offline.

`manifest` owns the signed table of contents, `build` makes a package out of a store, `check` verifies one.
"""

from ledger.evidence.build import build_package
from ledger.evidence.check import ChainReport, PackageReport, check_package, check_package_on_chain
from ledger.evidence.manifest import Manifest

__all__ = [
    "ChainReport",
    "Manifest",
    "PackageReport",
    "build_package",
    "check_package",
    "check_package_on_chain",
]
