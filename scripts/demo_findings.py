"""How the demo's auditor finds faults: reads the three phases through the API, and holds them against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from ledger import canonical, catalogue
from ledger.scenario import FAULTS


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something wrong with a transfer, and the event that shows it."""

    transfer: str
    fault: str
    position: int


class Reader:
    """Reads with an API key that may see the disclosed members. Every row leads to its proof."""

    def __init__(self, http: httpx.Client, log: str) -> None:
        self._http = http
        self._log = log

    def findings(self) -> list[Finding]:
        """One for each fault of each transfer, by the first event that shows it."""
        found = [*self._strangers(), *self._open_to_all(), *self._without_snapshot(), *self._paths()]
        first: dict[tuple[str, str], Finding] = {}
        for finding in sorted(found):
            first.setdefault((finding.transfer, finding.fault), finding)
        return list(first.values())

    def rows(self, path: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """All items of a paged list."""
        after: int | str | None = None
        while True:
            given = {**parameters, "limit": "1000", **({} if after is None else {"after": str(after)})}
            answer = self._http.get(path, params=given).raise_for_status().json()
            yield from answer["items"]
            if (after := answer["next"]) is None:
                return

    def events(self, type: str) -> Iterator[dict[str, Any]]:
        yield from self.rows(f"/v1/logs/{self._log}/events", type=type)

    def _strangers(self) -> Iterator[Finding]:
        """Accesses that were done, and that no permission snapshot in force at their time permitted."""
        for judged in self.rows("/v1/reconciliation", verdict="not-permitted"):
            if judged["unexplained"]:
                access = judged["access"]
                yield Finding(access["transfer"], "outside-account", access["position"])

    def _open_to_all(self) -> Iterator[Finding]:
        for snapshot in self.rows("/v1/snapshots", public="true"):
            yield Finding(snapshot["transfer"], "public-bucket", snapshot["position"])

    def _without_snapshot(self) -> Iterator[Finding]:
        """Transfers of which something is stored abroad and nothing says who may read it."""
        for matrix in self.rows("/v1/completeness"):
            cells = {(cell["phase"], cell["evidence"]): cell for cell in matrix["cells"]}
            stored, snapshot = cells["storage", "storage"], cells["storage", "permission-snapshot"]
            if stored["presence"] == "present" and snapshot["presence"] == "missing":
                yield Finding(matrix["transfer"], "missing-snapshot", stored["first"])

    def _paths(self) -> Iterator[Finding]:
        """Hops that are too weak, through undeclared countries, or with data whose owner had not agreed."""
        watch_only = {
            (event["event"]["subject"], event["event"]["data"]["pii_principal_id"])
            for event in self.events(catalogue.CONSENT.name)
            if event["event"]["data"]["choice"] == "watch-only"
        }
        for event in self.events(catalogue.HOP.name):
            transfer, hop = event["event"]["subject"], event["event"]["data"]
            if hop["tls_version"] < "1.2":
                yield Finding(transfer, "tls-1.1", event["position"])
            if hop["to"]["country"] not in hop["declared_path"]:
                yield Finding(transfer, "undeclared-country", event["position"])
            if "interaction" in hop["data_categories"] and (transfer, hop["pii_principal_id"]) in watch_only:
                yield Finding(transfer, "watch-only-exported", event["position"])


def planted(lines: Iterable[bytes]) -> set[tuple[str, str]]:
    """The faults (transfer, fault) that the generator put into these events; their ids carry the session's number."""
    faults = set()
    for line in lines:
        event = canonical.parse_object(line)
        number = int(str(event["id"]).split("-")[1])
        if fault := FAULTS[number % len(FAULTS)]:
            faults.add((str(event["subject"]), fault))
    return faults
