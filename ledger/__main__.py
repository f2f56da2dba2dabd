"""`transfer-ledger`, and `python -m ledger`.

The installed script imports this module, and then each process that it starts does, too (`ledger.processes`). These
need nothing of the command line, so that is loaded only when it is called.
"""


def main() -> None:
    from ledger.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
