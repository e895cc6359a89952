// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Generated from grid-core/src/modules/abi.rs.
// The system contract at 0x0000000000000000000000000000000000001002.

/// On-chain light clients, accumulators and the index.
interface LightClients {
    /// A chain's best tracked header changed.
    event TipChanged(bytes32 indexed chain, uint64 height, bytes32 blockHash);
    /// Another branch became the best one.
    event Reorged(bytes32 indexed chain, uint64 commonHeight, uint64 removed, uint64 added);
    /// Headers became confirmed and entered the accumulator.
    event Indexed(bytes32 indexed chain, uint64 fromHeight, uint64 toHeight);
    /// Confirmed headers were cut off the accumulator after a reorganisation.
    event IndexReverted(bytes32 indexed chain, uint64 fromHeight, uint64 depth);
    /// A reorganisation deeper than the window: the chain is stopped until the governor resumes it.
    event Frozen(bytes32 indexed chain, uint64 commonHeight);
    /// A newer block was proven final: a beacon block by a sync committee, `blockHash` is its execution block; or a
    /// block of another Grid chain by its validators, `slot` is its height and both hashes are its own.
    event FinalityAdvanced(bytes32 indexed chain, uint64 slot, bytes32 blockRoot, bytes32 blockHash);
    /// Two finalities exclude each other: the chain is stopped until the governor restarts it.
    event ConflictingFinality(bytes32 indexed chain, bytes32 known, bytes32 other);
    /// The governor gave the client a new trusted block.
    event Restarted(bytes32 indexed chain, bytes32 checkpoint);

    /// Submits Bitcoin headers, 80 bytes each, concatenated, parents first.
    function submitBitcoinHeaders(bytes32 chain, bytes calldata headers) external returns (uint64 added);
    /// Submits linked Ethereum headers in RLP, ascending, with attesters' signatures over the last one.
    function submitAttestedHeaders(bytes32 chain, bytes[] calldata headers, bytes[] calldata signatures) external returns (uint64 added);
    /// Submits what moves a client whose chain proves its finality (of a beacon chain: bootstrap, updates by period,
    /// finality update, in that order; of a Grid chain: certified blocks, ascending) and linked headers in RLP, ascending, of which the last has a wanted hash. Either list may be empty.
    function submitFinality(bytes32 chain, bytes[] calldata data, bytes[] calldata headers) external returns (uint64 added);
    /// Starts such a client anew from a trusted block, after it fell too far behind or froze; the
    /// governor only. Tracked and confirmed headers stay.
    function restart(bytes32 chain, bytes32 checkpoint, bytes calldata bootstrap) external;
    /// What such a client calls final (of a Grid chain, `slot` is the height); zeros before its bootstrap came.
    function finality(bytes32 chain) external view returns (uint64 slot, bytes32 blockRoot, uint64 time, uint64 period, bool nextCommitteeKnown);
    /// The hashes with which a run of headers may end, lowest gap first.
    function wanted(bytes32 chain) external view returns (bytes32[] memory hashes);
    /// The evidence of two finalities that exclude each other; empty if there is none.
    function conflict(bytes32 chain) external view returns (bytes memory evidence);
    /// The best tracked header.
    function tip(bytes32 chain) external view returns (uint64 height, bytes32 blockHash);
    /// What is stored of the chain's tracked headers, all branches: how many, the bytes of their chunks, and
    /// the height of the oldest.
    function tracked(bytes32 chain) external view returns (uint64 headers, uint64 storedBytes, uint64 oldestHeight);
    /// The confirmed range: `count` headers from `firstHeight`; the hash is that of the last one, or zero.
    function confirmed(bytes32 chain) external view returns (uint64 firstHeight, uint64 count, bytes32 blockHash);
    /// The root of a chain's accumulator.
    function accumulatorRoot(bytes32 chain) external view returns (bytes32 root);
    /// The root of the index after the transactions so far.
    function indexRoot() external view returns (bytes32 root);
}
