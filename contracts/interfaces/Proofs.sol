// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Generated from grid-core/src/modules/abi.rs.
// The system contract at 0x0000000000000000000000000000000000001003.

/// Verification of cross-chain proofs against this chain's own recent index roots.
interface Proofs {
    /// A proof was accepted.
    event Proven(bytes32 indexed claimHash, bytes32 indexed chain, uint64 height, uint8 security);

    /// Checks a proof in its binary form; reverts with the reason.
    function verify(bytes calldata proof) external view returns (bytes32 claimHash, bytes32 chain, uint64 height, bytes32 blockHash, uint64 time, uint8 security);
    /// Checks a proof and records its claim.
    function submit(bytes calldata proof) external returns (bytes32 claimHash);
    /// The height at which a claim was accepted, or zero.
    function provenAt(bytes32 claimHash) external view returns (uint64 height);
    /// What an accepted claim stands on: the source's chain key and block height; and where a reorganisation took that block off the index, the lowest height that was cut off, the Grid block that did it, how many headers were, and the hash of the highest. All zero where nothing of it happened.
    function standing(bytes32 claimHash) external view returns (uint64 provenAt, bytes32 chain, uint64 height, uint64 brokenFrom, uint64 brokenAt, uint64 depth, bytes32 tipHash);
}
