// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Generated from grid-core/src/modules/abi.rs.
// The system contract at 0x0000000000000000000000000000000000001004.

/// Messages to and from other chains. Accounts of other chains are 32 bytes, an address in the last 20 of them.
interface Mailbox {
    /// A message was sent; its fields in the order of the id are source, nonce, sender, destination, recipient, deadline, ordered, payload.
    event Dispatched(bytes32 indexed id, bytes32 indexed sender, bytes32 indexed destination, bytes32 source, uint64 nonce, bytes32 recipient, uint64 deadline, bool ordered, bytes payload);
    /// A message takes effect, once for each id; `height` is that of the source's block with it.
    event Delivered(bytes32 indexed id, bytes32 indexed source, bytes32 indexed recipient, bytes32 sender, uint64 nonce, uint64 height, bytes payload);
    /// A message was shown after its deadline: it never takes effect.
    event Expired(bytes32 indexed id, bytes32 indexed source, uint64 deadline);
    /// A message that took effect lost its block: in Grid block `gridHeight` the source's index was cut back to below
    /// `fromHeight`, by `depth` headers, of which `tipHash` was the highest.
    event Breached(bytes32 indexed id, bytes32 indexed source, uint64 height, bytes32 blockHash, uint64 fromHeight, uint64 depth, bytes32 tipHash, uint64 gridHeight);
    /// A message that had lost its block stands on another one.
    event Reaffirmed(bytes32 indexed id, bytes32 indexed source, uint64 height, bytes32 blockHash);
    /// A message takes effect before its block is confirmed, under a guarantee; `Delivered` is emitted too.
    event Guaranteed(bytes32 indexed id, bytes32 indexed source, bytes32 indexed guarantee, uint64 height, bytes32 blockHash);
    /// What may pass between two chains changed.
    event RouteChanged(bytes32 indexed source, bytes32 indexed destination, uint8 policy, uint32 maxPayload, uint64 minDepth, address mailbox);
    /// An account was put on a route's list of senders (or of recipients), or taken off it.
    event Listed(bytes32 indexed source, bytes32 indexed destination, bytes32 indexed account, bool sender, bool listed);

    /// Sends a message. `deadline` is in seconds since 1970, 0 for none; an ordered message needs one.
    function send(bytes32 destination, bytes32 recipient, uint64 deadline, bool ordered, bytes calldata payload) external returns (bytes32 id);
    /// Delivers the message that a proof in its binary form shows. For a message of a Bitcoin transaction `evidence` is the
    /// transaction that its first input spends, without witness; otherwise it is empty.
    function deliver(bytes calldata proof, bytes calldata evidence) external returns (bytes32 id, uint8 state);
    /// Delivers the message in an output of a Bitcoin transaction, without witness, whose block is tracked and not confirmed,
    /// under an open guarantee of that transaction; `evidence` as in `deliver`.
    function deliverGuaranteed(bytes32 guarantee, bytes calldata transaction, uint32 output, bytes calldata evidence) external returns (bytes32 id);
    /// The guarantee under which such a message would be taken now: the least cover, who must be its beneficiary, and the most of
    /// the premium that its payer gets back; refused where no guarantee is enough.
    function askOf(bytes32 source, bytes calldata transaction, uint32 output, bytes calldata evidence) external view returns (bytes32 id, uint256 cover, address beneficiary, uint256 premium);
    /// Marks a message that took effect and lost its block.
    function report(bytes32 id) external;
    /// Sets what may pass; the governor only. Bits of the policy: 1 open, 2 listed senders only, 4 listed recipients
    /// only, 8 guaranteed deliveries too.
    function setRoute(bytes32 source, bytes32 destination, uint8 policy, uint32 maxPayload, uint64 minDepth, address mailbox) external;
    /// Puts an account on a route's list of senders (or of recipients), or takes it off; the governor only.
    function setListed(bytes32 source, bytes32 destination, bytes32 account, bool sender, bool listed) external;
    /// What may pass; all zero where nothing may.
    function routeOf(bytes32 source, bytes32 destination) external view returns (uint8 policy, uint32 maxPayload, uint64 minDepth, address mailbox);
    /// Whether an account is on a route's list of senders (or of recipients).
    function isListed(bytes32 source, bytes32 destination, bytes32 account, bool sender) external view returns (bool listed);
    /// The number of a sender's next message: of one to be sent from here, or of an ordered one to take effect here.
    function nextNonce(bytes32 source, bytes32 destination, bytes32 sender, bool ordered) external view returns (uint64 nonce);
    /// How a message stands (0 unknown, 1 sent, 2 delivered, 3 expired, 4 breached, 5 guaranteed), the source's block with it, the
    /// Grid block whose index showed that block, the one that recorded the message; where it took effect and its block is gone, the
    /// lowest height that was cut off and the Grid block that did it; of a guaranteed one the guarantee, and that one's status.
    function messageOf(bytes32 id) external view returns (uint8 state, bytes32 source, bytes32 destination, uint64 height, bytes32 blockHash, uint64 anchor, uint64 gridHeight, uint64 brokenFrom, uint64 brokenAt, bytes32 guarantee, uint8 guaranteeStatus);
}
