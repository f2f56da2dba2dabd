// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ITransferLog} from "./ITransferLog.sol";

/// @title The anchor of transfer audit logs
/// @notice What it promises stands in ITransferLog; here is how: check, set, emit, nothing else.
contract TransferLog is ITransferLog, AccessControl {
    /// @notice May register logs and rotate their operators; cannot anchor.
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");

    /// @dev The numbers of one batch in half a slot: firstLeaf (48 bits) | closedAt (40) | anchoredAt (40).
    ///     Its leafCount is where the next batch begins less where it begins itself.
    type Span is uint128;

    /// @dev No log has more leaves, nor then more batches, as each batch has a leaf.
    uint256 private constant MAX_LEAVES = type(uint48).max;
    uint256 private constant MAX_TIME = type(uint40).max;

    /// @dev Operator and sizes share the first slot. The arrays are as long as a log can get and take up only what is
    ///     written; unlike a mapping an array puts two spans in a slot.
    struct Log {
        address operator;
        uint48 batches;
        uint48 leaves;
        /// `frontier[k]` is the root of the last complete subtree of 2^k headers, where bit k of `batches` is set.
        bytes32[48] frontier;
        bytes32[2 ** 48] roots;
        Span[2 ** 48] spans;
    }

    mapping(bytes32 logId => Log) private _logs;

    constructor(address registrar) {
        if (registrar == address(0)) revert ZeroRegistrar();
        _grantRole(DEFAULT_ADMIN_ROLE, registrar);
        _grantRole(REGISTRAR_ROLE, registrar);
    }

    /// @inheritdoc ITransferLog
    function registerLog(string calldata origin, address operator)
        external
        onlyRole(REGISTRAR_ROLE)
        returns (bytes32 logId)
    {
        if (bytes(origin).length == 0) revert EmptyOrigin();
        if (operator == address(0)) revert ZeroOperator();
        logId = sha256(bytes(origin));
        Log storage log = _logs[logId];
        if (log.operator != address(0)) revert LogAlreadyRegistered(logId);
        log.operator = operator;
        emit LogRegistered(logId, origin, operator);
    }

    /// @inheritdoc ITransferLog
    function rotateOperator(bytes32 logId, address newOperator) external onlyRole(REGISTRAR_ROLE) {
        if (newOperator == address(0)) revert ZeroOperator();
        Log storage log = _known(logId);
        address previous = log.operator;
        log.operator = newOperator;
        emit OperatorRotated(logId, previous, newOperator);
    }

    /// @inheritdoc ITransferLog
    function anchor(bytes32 logId, uint64 batchNo, uint64 firstLeaf, NewBatch[] calldata batches) external {
        Log storage log = _logs[logId];
        (address operator, uint64 size, uint64 leaves) = (log.operator, log.batches, log.leaves);
        if (operator == address(0)) revert UnknownLog(logId);
        if (msg.sender != operator) revert NotOperator(operator, msg.sender);
        if (batches.length == 0) revert NothingToAnchor();
        if (batchNo != size) revert WrongBatchNo(size, batchNo);
        if (firstLeaf != leaves) revert WrongFirstLeaf(leaves, firstLeaf);

        for (uint256 i = 0; i < batches.length; ++i) {
            leaves = _append(log, logId, size, leaves, batches[i]);
            ++size;
        }
        // Neither cast cuts anything off: _append keeps leaves within MAX_LEAVES, and size never exceeds leaves.
        (log.batches, log.leaves) = (uint48(size), uint48(leaves));
    }

    /// @inheritdoc ITransferLog
    function operatorOf(bytes32 logId) external view returns (address) {
        return _logs[logId].operator;
    }

    /// @inheritdoc ITransferLog
    function sizeOf(bytes32 logId) external view returns (uint64 batches, uint64 leaves) {
        Log storage log = _known(logId);
        return (log.batches, log.leaves);
    }

    /// @inheritdoc ITransferLog
    function rootOf(bytes32 logId) external view returns (bytes32 root) {
        Log storage log = _known(logId);
        uint256 size = log.batches;
        if (size == 0) return sha256("");
        // From the smallest complete subtree to the largest, each the left sibling of all that is right of it.
        uint256 level = 0;
        while ((size >> level) & 1 == 0) ++level;
        root = log.frontier[level];
        for (++level; size >> level != 0; ++level) {
            if ((size >> level) & 1 == 1) root = _node(log.frontier[level], root);
        }
    }

    /// @inheritdoc ITransferLog
    function batchOf(bytes32 logId, uint64 batchNo) external view returns (Batch memory) {
        return _batch(_known(logId), batchNo);
    }

    /// @inheritdoc ITransferLog
    function verifyEvent(bytes32 logId, uint64 batchNo, bytes32 leafHash, uint32 index, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        Batch memory batch = _batch(_known(logId), batchNo);
        return _includes(batch.root, batch.leafCount, leafHash, index, path);
    }

    /// @dev Check one batch, set its root, span and place in the tree, emit; returns where the next one begins.
    function _append(Log storage log, bytes32 logId, uint64 batchNo, uint64 firstLeaf, NewBatch calldata batch)
        private
        returns (uint64 nextLeaf)
    {
        (bytes32 root, uint32 leafCount, uint64 closedAt) = (batch.root, batch.leafCount, batch.closedAt);
        nextLeaf = firstLeaf + leafCount;
        if (leafCount == 0) revert EmptyBatch(batchNo);
        if (nextLeaf > MAX_LEAVES) revert TooManyLeaves(uint64(MAX_LEAVES), nextLeaf);
        if (closedAt > MAX_TIME) revert ClosedAtTooLate(uint64(MAX_TIME), closedAt);

        log.roots[batchNo] = root;
        log.spans[batchNo] = _span(firstLeaf, closedAt, block.timestamp);

        // Each set bit at the low end of batchNo is a complete subtree that this leaf completes to the next larger.
        bytes32 node = sha256(abi.encodePacked(bytes1(0x00), logId, batchNo, firstLeaf, leafCount, closedAt, root));
        uint256 level = 0;
        for (; (batchNo >> level) & 1 == 1; ++level) node = _node(log.frontier[level], node);
        log.frontier[level] = node;

        emit BatchAnchored(logId, batchNo, firstLeaf, leafCount, closedAt, root);
    }

    function _known(bytes32 logId) private view returns (Log storage log) {
        log = _logs[logId];
        if (log.operator == address(0)) revert UnknownLog(logId);
    }

    function _batch(Log storage log, uint64 batchNo) private view returns (Batch memory batch) {
        uint64 size = log.batches;
        if (batchNo >= size) revert UnknownBatch(size, batchNo);
        batch.root = log.roots[batchNo];
        (batch.firstLeaf, batch.closedAt, batch.anchoredAt) = _unspan(log.spans[batchNo]);
        uint64 nextLeaf = log.leaves;
        if (batchNo + 1 < size) (nextLeaf,,) = _unspan(log.spans[batchNo + 1]);
        batch.leafCount = uint32(nextLeaf - batch.firstLeaf);
    }

    /// @dev RFC 9162, section 2.1.3.2, step by step; fn and sn are the RFC's.
    function _includes(bytes32 root, uint256 size, bytes32 leafHash, uint256 index, bytes32[] calldata path)
        private
        pure
        returns (bool)
    {
        if (index >= size) return false;
        (uint256 fn, uint256 sn) = (index, size - 1);
        bytes32 node = leafHash;
        for (uint256 i = 0; i < path.length; ++i) {
            if (sn == 0) return false;
            if (fn & 1 == 1 || fn == sn) {
                node = _node(path[i], node);
                while (fn & 1 == 0 && fn != 0) (fn, sn) = (fn >> 1, sn >> 1);
            } else {
                node = _node(node, path[i]);
            }
            (fn, sn) = (fn >> 1, sn >> 1);
        }
        return sn == 0 && node == root;
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }

    /// @dev The callers keep firstLeaf and closedAt within their bits; a block's time outgrows 40 bits in 36812.
    function _span(uint256 firstLeaf, uint256 closedAt, uint256 anchoredAt) private pure returns (Span) {
        return Span.wrap(uint128((firstLeaf << 80) | (closedAt << 40) | anchoredAt));
    }

    function _unspan(Span span) private pure returns (uint64 firstLeaf, uint64 closedAt, uint64 anchoredAt) {
        uint128 bits = Span.unwrap(span);
        return (uint64(bits >> 80), uint40(bits >> 40), uint40(bits));
    }
}
