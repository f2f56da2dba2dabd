"""A real Anvil, a TransferLog on it, and the table of gas at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from driver import Deployment, Log, running_node
from web3 import Web3

from ledger.adapters.node import tool


@pytest.fixture(scope="session")
def anvil() -> Iterator[Web3]:
    with running_node([*tool("anvil"), "--silent", "--port", "{port}"]) as web3:
        yield web3


@pytest.fixture(scope="session")
def shared(anvil: Web3) -> Deployment:
    """One contract for all tests that stay within logs of their own."""
    return Deployment.on(anvil)


@pytest.fixture
def contract(anvil: Web3) -> Deployment:
    """A contract that nobody else has touched."""
    return Deployment.on(anvil)


@pytest.fixture
def log(contract: Deployment) -> Log:
    """A registered, empty log."""
    return contract.register("ledger.example/acme-live")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        (name.removeprefix("gas: "), value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name.startswith("gas: ")
    ]
    if rows:
        terminalreporter.section("gas of TransferLog")
        for name, value in rows:
            terminalreporter.write_line(f"{value:>10,}  {name}")
