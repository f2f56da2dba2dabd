"""Step 12 of verifying a package: the contract, through the verifier's own node (`ledger.evidence.check`)."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.anchor import check_anchored
from ledger.errors import AnchorRefuted
from ledger.evidence.check import PackageReport, Progress
from ledger.ports import Chain
from ledger.types import BatchNo, log_id


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What the contract adds to a report.

    Attributes:
        beyond: batches that it holds past the checkpoint: a package with an open end may lack what they hold.
        longest_delay: seconds from the receipt of a batch's last entry to the block that anchored it, at most.
        post_dated: batches that were anchored more than `CLOCK_TOLERANCE` seconds *before* their last entry was
            received, as the ledger says: its clock was wrong, or it moved entries into a later period.
    """

    beyond: int
    longest_delay: int
    post_dated: tuple[BatchNo, ...]


CLOCK_TOLERANCE = 60


def check_package_on_chain(
    report: PackageReport, chain: Chain, progress: Progress = lambda done, total: None
) -> ChainReport:
    """Step 12: every header under the checkpoint, and the checkpoint itself, against the contract.

    Raises:
        AnchorRefuted: the contract holds something else.
        ChainUnavailable: the node does not answer; nothing is said about the package.
    """
    name = log_id(report.checkpoint.origin)
    for anchor in report.anchors:
        named = anchor.contract
        if (named.chain_id, named.address.lower()) != (
            chain.contract.chain_id,
            chain.contract.address.lower(),
        ):
            raise AnchorRefuted(
                "the package names another contract", step="chain", expected=chain.contract, got=named
            )
    size = chain.size_of(name)
    if size is None or size.batches < report.checkpoint.size:
        raise AnchorRefuted(
            "the contract holds fewer batches than the checkpoint",
            step="chain",
            expected=f"at least {report.checkpoint.size}",
            got="no such log" if size is None else size.batches,
        )
    root = chain.root_of(name)
    # The root is the checkpoint's to match only if the contract had this size before and after the root was read.
    same_size = size.batches == report.checkpoint.size and chain.size_of(name) == size
    if same_size and root != report.checkpoint.root:
        raise AnchorRefuted(
            "the contract has another root", step="chain", expected=root, got=report.checkpoint.root
        )
    first = report.manifest.first_batch
    delays: dict[BatchNo, int] = {}
    for header in report.headers:
        anchored = chain.batch_of(name, header.batch_no)
        check_anchored(header, anchored)
        if 0 <= header.batch_no - first < report.manifest.batches:
            received = report.batch_received[header.batch_no - first] // 1000
            delays[header.batch_no] = anchored.anchored_at - received
        progress(header.batch_no + 1, len(report.headers))
    for number, anchor in enumerate(report.anchors, first):
        seen = chain.anchored_in(anchor.tx_hash, name, report.headers[number].batch_no)
        # The contract was compared above: its address may be written in other cases than the node's.
        if seen is None or (seen.block_number, seen.block_hash) != (anchor.block_number, anchor.block_hash):
            raise AnchorRefuted(f"batch {number} was not anchored where the package says", step="chain")
    return ChainReport(
        beyond=size.batches - report.checkpoint.size,
        longest_delay=max(delays.values()),
        post_dated=tuple(number for number, delay in delays.items() if delay < -CLOCK_TOLERANCE),
    )
