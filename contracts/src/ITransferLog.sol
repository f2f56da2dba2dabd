// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// @title The anchor of transfer audit logs
/// @notice Holds, for each log, the Merkle root of every batch of events, in order and without gaps, and from them
///     the RFC 6962 root of the log itself. What has been anchored cannot be changed, removed or put in between:
///     there is no function that does so, no proxy and no upgrade.
///
/// @dev Both trees are those of RFC 6962 and RFC 9162 with SHA-256: a leaf is hashed behind 0x00, an inner node
///     behind 0x01. The leaves of a batch are its events. The leaves of a log are its batches' headers, 92 bytes,
///     numbers big-endian:
///
///         logId (32) | batchNo (8) | firstLeaf (8) | leafCount (4) | closedAt (8, Unix seconds) | root (32)
///
///     A log is named by `logId`, the SHA-256 of its origin's UTF-8 bytes. Batches and leaves count from zero.
interface ITransferLog {
    /// @notice A closed batch as its operator hands it over; its number and first leaf follow from its place.
    /// @param root RFC 6962 root over the batch's events
    /// @param leafCount how many events, at least one
    /// @param closedAt when the operator closed it, Unix seconds, by the operator's own clock
    struct NewBatch {
        bytes32 root;
        uint32 leafCount;
        uint64 closedAt;
    }

    /// @notice A batch as anchored.
    /// @param root RFC 6962 root over the batch's events
    /// @param firstLeaf how many events of the log come before it
    /// @param leafCount how many events
    /// @param closedAt when the operator says that it was closed, Unix seconds
    /// @param anchoredAt time of the block that anchored it, Unix seconds
    struct Batch {
        bytes32 root;
        uint64 firstLeaf;
        uint32 leafCount;
        uint64 closedAt;
        uint64 anchoredAt;
    }

    /// @notice A log was registered under `origin`; `operator` may anchor to it.
    event LogRegistered(bytes32 indexed logId, string origin, address indexed operator);

    /// @notice The right to anchor to the log passed from `previous` to `current`.
    event OperatorRotated(bytes32 indexed logId, address indexed previous, address indexed current);

    /// @notice A batch was anchored. The fields are those of its header, so the event alone gives the log's leaf.
    event BatchAnchored(
        bytes32 indexed logId,
        uint64 indexed batchNo,
        uint64 firstLeaf,
        uint32 leafCount,
        uint64 closedAt,
        bytes32 root
    );

    /// @notice No log is registered under this id.
    error UnknownLog(bytes32 logId);

    /// @notice The origin has a log already.
    error LogAlreadyRegistered(bytes32 logId);

    /// @notice An origin has at least one byte.
    error EmptyOrigin();

    /// @notice The zero address cannot operate a log.
    error ZeroOperator();

    /// @notice The zero address cannot be the registrar.
    error ZeroRegistrar();

    /// @notice Only the log's operator anchors to it.
    error NotOperator(address expected, address got);

    /// @notice A call anchors at least one batch.
    error NothingToAnchor();

    /// @notice The next batch of the log is `expected`. A lower `got` was anchored before; a higher one leaves a gap.
    error WrongBatchNo(uint64 expected, uint64 got);

    /// @notice The next batch begins at leaf `expected`.
    error WrongFirstLeaf(uint64 expected, uint64 got);

    /// @notice A batch has at least one leaf; this one has none.
    error EmptyBatch(uint64 batchNo);

    /// @notice A log holds at most `max` leaves; this batch would make it `got`.
    error TooManyLeaves(uint64 max, uint64 got);

    /// @notice A batch closes at `max` (in the year 36812) at the latest; probably `got` is not in seconds.
    error ClosedAtTooLate(uint64 max, uint64 got);

    /// @notice The log has `size` batches, and `got` is not among them.
    error UnknownBatch(uint64 size, uint64 got);

    /// @notice Register a log and its first operator. For the registrar.
    /// @param origin the log's name, a schema-less URL prefix such as `ledger.example/acme-live`
    /// @param operator the address that will anchor
    /// @return logId SHA-256 of `origin`
    /// @dev Reverts with EmptyOrigin, ZeroOperator, LogAlreadyRegistered. Emits LogRegistered.
    function registerLog(string calldata origin, address operator) external returns (bytes32 logId);

    /// @notice Hand the right to anchor to another address, for a lost, leaked or retired key. For the registrar.
    /// @dev Reverts with ZeroOperator, UnknownLog. Emits OperatorRotated.
    function rotateOperator(bytes32 logId, address newOperator) external;

    /// @notice Append batches to a log. For the log's operator.
    /// @param logId the log
    /// @param batchNo number of the first of `batches`; must be the log's size in batches
    /// @param firstLeaf position of its first event; must be the log's size in leaves
    /// @param batches the batches, in order, each beginning where the one before it ends
    /// @dev All or none. Reverts with UnknownLog, NotOperator, NothingToAnchor, WrongBatchNo, WrongFirstLeaf,
    ///     EmptyBatch, TooManyLeaves, ClosedAtTooLate, checked in this order. Emits BatchAnchored for each batch.
    function anchor(bytes32 logId, uint64 batchNo, uint64 firstLeaf, NewBatch[] calldata batches) external;

    /// @notice The address that may anchor to the log; zero where there is no such log.
    function operatorOf(bytes32 logId) external view returns (address);

    /// @notice How many batches and how many leaves (events) the log holds.
    /// @dev Reverts with UnknownLog.
    function sizeOf(bytes32 logId) external view returns (uint64 batches, uint64 leaves);

    /// @notice RFC 6962 root over the headers of all batches: the root of the log's checkpoint at this size.
    /// @dev SHA-256 of nothing for an empty log. Reverts with UnknownLog.
    function rootOf(bytes32 logId) external view returns (bytes32);

    /// @notice A batch as anchored.
    /// @dev Reverts with UnknownLog, UnknownBatch.
    function batchOf(bytes32 logId, uint64 batchNo) external view returns (Batch memory);

    /// @notice Whether an event is at `index` of a batch (RFC 9162, section 2.1.3.2).
    /// @param leafHash SHA-256(0x00 | entry)
    /// @param index place in the batch, from zero
    /// @param path the siblings' hashes, from the leaf up
    /// @dev Binds the index and the batch's size: any wrong argument gives false.
    ///     Reverts with UnknownLog, UnknownBatch.
    function verifyEvent(bytes32 logId, uint64 batchNo, bytes32 leafHash, uint32 index, bytes32[] calldata path)
        external
        view
        returns (bool);
}
