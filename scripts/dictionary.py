"""How `ledger/adapters/sql/squeeze.dictionary` was made: `scripts/dictionary.py FILE` writes such a dictionary.

It is trained on what a store holds of made-up events (`ledger.scenario`) of some logs, half of them opaque, with salts
that repeat: the same version of zstd makes the same bytes. A row is read with the dictionary it was written with, so
another one does not take the place of the first, but comes beside it under an id of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import zstandard

from ledger import catalogue
from ledger.adapters.sql.packing import joined
from ledger.canonical import Object
from ledger.disclosure import SALT_BYTES
from ledger.entry import parse_event
from ledger.scenario import scenario
from ledger.statement import commit_event, make_entry
from ledger.types import Origin, PartyId

ID = 32768
"""The first of those that are neither registered nor reserved (RFC 8878 §6)."""
SIZE = 16 * 1024
LOGS = 12
EVENTS = 1000
YEARS = (1_735_689_600_000, 1_893_456_000_000)


def samples() -> Iterator[bytes]:
    random = Random(1)  # must repeat; hides nothing
    for log in range(LOGS):
        name = sha256(b"%d" % log).hexdigest()
        origin, party = Origin(f"{name[:7]}.example/{name[8:15]}"), PartyId(name[16:21])
        for value in scenario(log, EVENTS, *YEARS):
            event = parse_event(opaque(value) if log % 2 else value)
            visible = catalogue.check_event(event, allow_opaque=True).visible
            said = commit_event(event, visible, lambda: random.randbytes(SALT_BYTES))
            yield make_entry(said, origin, party, random.randrange(*YEARS))
            if said.texts:
                yield joined(said.texts)


def opaque(value: Object) -> Object:
    return {**value, "type": str(value["type"]).replace("transfer-ledger.", "example.", 1)}


def main() -> None:
    dictionary = zstandard.train_dictionary(SIZE, list(samples()), dict_id=ID, level=1)
    Path(sys.argv[1]).write_bytes(dictionary.as_bytes())


if __name__ == "__main__":
    main()
