"""The benchmark: what the ledger costs, beside what a user would write or pick instead. Run by `scripts/bench`.

    __main__.py      arguments; the parts one after the other; the file of figures
    sizes.py         how much of everything: full, quick, smoke
    place.py         where a run works: its folder, a PostgreSQL server, a chain, ledgers
    processes.py     programs that are started, and ended with the run
    apart.py         a function in a process of its own, so that its memory and time are its own
    meters.py        seconds, CPU, memory, quantiles
    machine.py       on what it was measured
    events.py        events to push          accesses.py   accesses in the shape of a large platform's
    filling.py       ledgers, filled         bulk.py       logs that are written past the pipeline
    load.py          the client of the HTTP measurements, a program of its own
    floor.py         what a user would write instead of a ledger, a program of its own
    report.py        figures as tables, for the terminal and for README.md

and one module for each part: `ingest`, `core` (with `peers`), `sealing`, `proofs`, `verification`, `storage`,
`anchoring`, `queries`, `questions`, `projecting`. A part is a function from a `Place` to figures that JSON can hold.
"""
