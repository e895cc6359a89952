// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Generated from grid-core/src/modules/abi.rs.
// The system contract at 0x0000000000000000000000000000000000001008.

/// GRID that a Bitcoin payment releases.
interface Escrow {
    /// GRID was locked.
    event Opened(bytes32 indexed id, address indexed owner, address indexed payee, uint256 value, bytes32 chain, bytes script, uint64 amount, uint64 deadline);
    /// The escrow takes a payment that is not confirmed under a guarantee of at least `cover` for its owner, and gives up to
    /// `premium` back to who paid for it.
    event Asked(bytes32 indexed id, uint256 cover, uint256 premium);
    /// Who paid for the guarantee of a payment that was not confirmed has that much of its premium back.
    event PremiumPaid(bytes32 indexed id, address indexed payer, uint256 premium);
    /// The payment was shown by a message: the payee has the GRID.
    event Released(bytes32 indexed id, address indexed payee, bytes32 indexed message, uint256 value);
    /// The deadline passed: the owner has the GRID back.
    event Refunded(bytes32 indexed id, address indexed owner, uint256 value);

    /// Locks the value for a payee, until a message from a chain of Bitcoin's family names the escrow in a transaction that
    /// pays at least `amount` satoshis to `script`, at most until `deadline`, in seconds since 1970.
    function open(bytes32 chain, bytes calldata script, uint64 amount, address payee, uint64 deadline) external payable returns (bytes32 id);
    /// As `open`, and takes a payment that is not confirmed under a guarantee of at least `cover` with the caller as beneficiary.
    /// `premium` is taken out of the value; as much of it as the guarantee cost goes to who paid for it, the rest back to the caller.
    function openGuaranteed(bytes32 chain, bytes calldata script, uint64 amount, address payee, uint64 deadline, uint256 cover, uint256 premium) external payable returns (bytes32 id);
    /// Gives an escrow back to its owner after the deadline; anybody may call.
    function refund(bytes32 id) external;
    /// How an escrow stands (0 unknown, 1 open, 2 released, 3 refunded), and its terms.
    function escrowOf(bytes32 id) external view returns (uint8 status, address owner, address payee, uint256 value, bytes32 chain, bytes32 scriptHash, uint64 amount, uint64 deadline, uint256 cover, uint256 premium);
}
