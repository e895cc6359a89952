// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {GridHeader, Header} from "./GridHeader.sol";
import {Log, Receipts} from "./Receipts.sol";

/// A message between two chains, as docs/messages.md has it. Its id is `keccak256(abi.encode(message))`.
struct Message {
    bytes32 source;
    uint64 nonce;
    bytes32 sender;
    bytes32 destination;
    bytes32 recipient;
    uint64 deadline;
    bool ordered;
    bytes payload;
}

/// What the mailbox asks of a light client of Grid: `GridLightClient`.
interface IGridLightClient {
    /// Zero once the Grid chain contradicted itself.
    function commitment() external view returns (bytes32);
    /// The index root of a verified block; zero for every other hash.
    function indexRoot(bytes32 blockHash) external view returns (bytes32);
}

/// A contract that takes messages. It is called by the mailbox only once for each id; a revert leaves the message undelivered,
/// so that it can be tried again until its deadline.
interface IGridRecipient {
    function onGridMessage(bytes32 id, Message calldata message) external;
}

/// Sends messages to a Grid chain, and delivers those that the Grid chain's mailbox has sent to this chain, each once, whoever
/// brings it and how often. Nobody owns it: whom to listen to is for the recipient to decide, who sees the sender.
contract GridMailbox {
    /// A message was sent. The same event as that of Grid's own mailbox.
    event Dispatched(
        bytes32 indexed id,
        bytes32 indexed sender,
        bytes32 indexed destination,
        bytes32 source,
        uint64 nonce,
        bytes32 recipient,
        uint64 deadline,
        bool ordered,
        bytes payload
    );
    /// A message takes effect.
    event Delivered(bytes32 indexed id, bytes32 indexed sender, address indexed recipient);
    /// A message was shown after its deadline: it never takes effect.
    event Expired(bytes32 indexed id);

    /// How a message stands here.
    enum State {
        Unknown,
        Sent,
        Delivered,
        Expired
    }

    error WrongDestination();
    error WrongSource();
    error NoRecipient();
    error PayloadTooLong(uint256 length);
    error DeadlineOver();
    error DeadlineMissing();
    error ClientFrozen();
    error NotTrusted(bytes32 blockHash);
    error NotLinked(uint256 header);
    error NotAMessage();
    error AlreadyKnown();
    error OutOfOrder(uint64 expected, uint64 found);

    /// The most bytes of a payload.
    uint256 public constant MAX_PAYLOAD = 4096;
    /// Grid's mailbox.
    address public constant GRID_MAILBOX = 0x0000000000000000000000000000000000001004;

    /// Follows the Grid chain.
    IGridLightClient public immutable client;
    /// Chain key of the Grid chain.
    bytes32 public immutable grid;
    /// Chain key of this chain.
    bytes32 public immutable own;

    /// How a message stands here.
    mapping(bytes32 id => State) public stateOf;
    /// Number of a sender's next message, by destination, sender and order.
    mapping(bytes32 destination => mapping(address sender => mapping(bool ordered => uint64))) public nextNonce;
    /// Number of a sender's next ordered message that may take effect here.
    mapping(bytes32 sender => uint64) public nextTurn;

    constructor(IGridLightClient client_, uint64 gridChainId) {
        client = client_;
        grid = chainKey(gridChainId);
        own = chainKey(block.chainid);
    }

    /// Sends a message. `deadline` is in seconds since 1970 by the destination's clock, 0 for none; an ordered message needs one.
    function send(bytes32 destination, bytes32 recipient, uint64 deadline, bool ordered, bytes calldata payload)
        external
        returns (bytes32 id)
    {
        if (destination == own) revert WrongDestination();
        if (recipient == 0) revert NoRecipient();
        if (payload.length > MAX_PAYLOAD) revert PayloadTooLong(payload.length);
        if (deadline != 0 && deadline <= block.timestamp) revert DeadlineOver();
        if (ordered && deadline == 0) revert DeadlineMissing();
        uint64 nonce = nextNonce[destination][msg.sender][ordered]++;
        bytes32 sender = bytes32(uint256(uint160(msg.sender)));
        id = idOf(Message(own, nonce, sender, destination, recipient, deadline, ordered, payload));
        stateOf[id] = State.Sent;
        emit Dispatched(id, sender, destination, own, nonce, recipient, deadline, ordered, payload);
    }

    /// Delivers a message of Grid's mailbox. `headers` leads from the block with the message, the first, to one that the light
    /// client verified, the last, each the parent of the next; then come the transaction's index in the block, the nodes of the
    /// receipts trie to its receipt, and the log's position in the receipt.
    function deliver(bytes[] calldata headers, uint256 transaction, bytes[] calldata nodes, uint256 position)
        external
        returns (bytes32 id, State state)
    {
        Log memory log = Receipts.log(_receiptsRoot(headers), transaction, nodes, position);
        Message memory message;
        (id, message) = _read(log);
        if (stateOf[id] != State.Unknown) revert AlreadyKnown();
        if (message.ordered) {
            uint64 expected = nextTurn[message.sender];
            if (message.nonce != expected) revert OutOfOrder(expected, message.nonce);
            nextTurn[message.sender] = expected + 1;
        }
        if (message.deadline != 0 && block.timestamp > message.deadline) {
            stateOf[id] = State.Expired;
            emit Expired(id);
            return (id, State.Expired);
        }
        address recipient = address(uint160(uint256(message.recipient)));
        if (bytes32(uint256(uint160(recipient))) != message.recipient || recipient == address(0)) revert NoRecipient();
        // Before the recipient is called: what it calls back finds the message delivered.
        stateOf[id] = State.Delivered;
        emit Delivered(id, message.sender, recipient);
        if (recipient.code.length != 0) IGridRecipient(recipient).onGridMessage(id, message);
        return (id, State.Delivered);
    }

    /// A message's id.
    function idOf(Message memory message) public pure returns (bytes32) {
        return keccak256(abi.encode(message));
    }

    /// The chain key of an EVM chain: `keccak256("eip155:<number>")`.
    function chainKey(uint256 number) public pure returns (bytes32) {
        uint256 length = 1;
        for (uint256 rest = number; rest >= 10; rest /= 10) ++length;
        bytes memory digits = new bytes(length);
        for (uint256 rest = number; length > 0; rest /= 10) digits[--length] = bytes1(uint8(48 + rest % 10));
        return keccak256(abi.encodePacked("eip155:", digits));
    }

    /// The root of the receipts of the first header, which the last one vouches for.
    function _receiptsRoot(bytes[] calldata headers) private view returns (bytes32 root) {
        if (client.commitment() == 0) revert ClientFrozen();
        uint256 count = headers.length;
        if (count == 0) revert NotTrusted(0);
        bytes32 expected;
        for (uint256 i = count; i > 0; --i) {
            Header memory header = GridHeader.decode(headers[i - 1]);
            if (i == count) {
                if (client.indexRoot(header.hash) == 0) revert NotTrusted(header.hash);
            } else if (header.hash != expected) {
                revert NotLinked(i - 1);
            }
            expected = header.parentHash;
        }
        // Every header has its first roots at the same place; GridHeader has checked it.
        return bytes32(headers[0][157:189]);
    }

    /// The message of a log of Grid's mailbox, for this chain.
    function _read(Log memory log) private view returns (bytes32 id, Message memory message) {
        if (log.emitter != GRID_MAILBOX || log.topics.length != 4 || log.topics[0] != Dispatched.selector) {
            revert NotAMessage();
        }
        message.sender = log.topics[2];
        message.destination = log.topics[3];
        (message.source, message.nonce, message.recipient, message.deadline, message.ordered, message.payload) =
            abi.decode(log.data, (bytes32, uint64, bytes32, uint64, bool, bytes));
        if (message.source != grid) revert WrongSource();
        if (message.destination != own) revert WrongDestination();
        id = idOf(message);
        if (id != log.topics[1]) revert NotAMessage();
    }
}
