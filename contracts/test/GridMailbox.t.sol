// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Extension} from "../src/GridHeader.sol";
import {GridMailbox, IGridLightClient, IGridRecipient, Message} from "../src/GridMailbox.sol";
import {Receipts} from "../src/Receipts.sol";

interface Vm {
    function warp(uint256 timestamp) external;
    function chainId(uint256 id) external;
}

/// A light client that trusts what the test tells it to.
contract Client is IGridLightClient {
    bytes32 public commitment = bytes32(uint256(1));
    mapping(bytes32 => bytes32) public indexRoot;

    function trust(bytes32 hash) external {
        indexRoot[hash] = bytes32(uint256(2));
    }

    function freeze() external {
        commitment = 0;
    }
}

/// Counts what it is given; refuses, or delivers again, where the test wants it.
contract Recipient is IGridRecipient {
    uint256 public count;
    bytes public last;
    bool public refuses;
    bytes public again;
    bool public againFailed;

    function refuse(bool on) external {
        refuses = on;
    }

    function repeat(bytes calldata call) external {
        again = call;
    }

    function onGridMessage(bytes32, Message calldata message) external {
        require(!refuses, "not now");
        ++count;
        last = message.payload;
        if (again.length != 0) {
            (bool done,) = msg.sender.call(again);
            againFailed = !done;
        }
    }
}

/// Writes RLP.
library Write {
    function str(bytes memory data) internal pure returns (bytes memory) {
        if (data.length == 1 && uint8(data[0]) < 0x80) return data;
        return abi.encodePacked(_prefix(0x80, data.length), data);
    }

    function list(bytes memory items) internal pure returns (bytes memory) {
        return abi.encodePacked(_prefix(0xc0, items.length), items);
    }

    function _prefix(uint256 base, uint256 length) private pure returns (bytes memory) {
        if (length <= 55) return abi.encodePacked(uint8(base + length));
        if (length < 0x100) return abi.encodePacked(uint8(base + 56), uint8(length));
        return abi.encodePacked(uint8(base + 57), uint16(length));
    }
}

contract GridMailboxTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint64 private constant GRID = 7357;
    uint256 private constant NOW = 1_700_000_000;

    Client private client;
    GridMailbox private mailbox;
    Recipient private recipient;

    function setUp() public {
        vm.chainId(31337);
        vm.warp(NOW);
        client = new Client();
        mailbox = new GridMailbox(client, GRID);
        recipient = new Recipient();
    }

    function _message(uint64 nonce, bool ordered, uint64 deadline) private view returns (Message memory) {
        bytes32 to = bytes32(uint256(uint160(address(recipient))));
        return Message(mailbox.grid(), nonce, bytes32(uint256(0x5e)), mailbox.own(), to, deadline, ordered, "hello");
    }

    function _log(Message memory m, address emitter, bytes32 id) private pure returns (bytes memory) {
        bytes memory topics = abi.encodePacked(
            Write.str(abi.encodePacked(GridMailbox.Dispatched.selector)),
            Write.str(abi.encodePacked(id)),
            Write.str(abi.encodePacked(m.sender)),
            Write.str(abi.encodePacked(m.destination))
        );
        bytes memory data = abi.encode(m.source, m.nonce, m.recipient, m.deadline, m.ordered, m.payload);
        return Write.list(abi.encodePacked(Write.str(abi.encodePacked(emitter)), Write.list(topics), Write.str(data)));
    }

    function _receipt(bytes memory logs) private pure returns (bytes memory) {
        bytes memory fields =
            abi.encodePacked(hex"01", hex"825208", Write.str(new bytes(256)), Write.list(logs));
        return abi.encodePacked(hex"02", Write.list(fields));
    }

    /// Three receipts: a branch above leaves for the indexes 1 and 2 behind another branch, and index 0.
    function _trie(bytes[3] memory receipts) private pure returns (bytes32 root, bytes[][3] memory nodes) {
        // Keys 0x80, 0x01, 0x02: nibbles 8-0, 0-1, 0-2.
        bytes memory leaf0 = Write.list(abi.encodePacked(hex"30", Write.str(receipts[0])));
        bytes memory leaf1 = Write.list(abi.encodePacked(hex"20", Write.str(receipts[1])));
        bytes memory leaf2 = Write.list(abi.encodePacked(hex"20", Write.str(receipts[2])));
        bytes memory low = Write.list(
            abi.encodePacked(
                hex"80", hex"a0", keccak256(leaf1), hex"a0", keccak256(leaf2), hex"8080808080808080808080808080"
            )
        );
        bytes memory top = Write.list(
            abi.encodePacked(
                hex"a0", keccak256(low), hex"80808080808080", hex"a0", keccak256(leaf0), hex"8080808080808080"
            )
        );
        root = keccak256(top);
        nodes[0] = new bytes[](2);
        (nodes[0][0], nodes[0][1]) = (top, leaf0);
        bytes[2] memory leaves = [leaf1, leaf2];
        for (uint256 i = 1; i < 3; ++i) {
            nodes[i] = new bytes[](3);
            (nodes[i][0], nodes[i][1], nodes[i][2]) = (top, low, leaves[i - 1]);
        }
    }

    function _header(uint64 number, bytes32 parent, bytes32 receiptsRoot) private pure returns (bytes memory) {
        Extension memory extension;
        extension.version = 1;
        extension.timeMs = uint64(NOW) * 1000;
        bytes memory roots = abi.encodePacked(
            Write.str(abi.encodePacked(parent)),
            Write.str(abi.encodePacked(bytes32(0))),
            Write.str(new bytes(20)),
            Write.str(abi.encodePacked(bytes32(0))),
            Write.str(abi.encodePacked(bytes32(0))),
            Write.str(abi.encodePacked(receiptsRoot)),
            Write.str(new bytes(256))
        );
        bytes memory rest = abi.encodePacked(
            hex"80",
            Write.str(abi.encodePacked(uint8(number))),
            hex"830f4240",
            hex"80",
            Write.str(abi.encodePacked(uint32(NOW))),
            Write.str(abi.encode(extension)),
            Write.str(abi.encodePacked(bytes32(0))),
            Write.str(new bytes(8)),
            hex"843b9aca00"
        );
        return Write.list(abi.encodePacked(roots, rest));
    }

    /// The call that delivers a log, in the second of three receipts, of a block that the client trusts.
    function _call(bytes memory log) private returns (bytes memory) {
        return _callIn(log, 1, 1);
    }

    /// With the receipt at a place, and so many headers from the block to the trusted one.
    function _callIn(bytes memory log, uint256 place, uint256 count) private returns (bytes memory) {
        bytes[3] memory receipts;
        for (uint256 i = 0; i < 3; ++i) receipts[i] = _receipt(i == place ? abi.encodePacked(_other(), log) : _other());
        (bytes32 root, bytes[][3] memory nodes) = _trie(receipts);
        bytes[] memory headers = new bytes[](count);
        headers[0] = _header(5, 0, root);
        for (uint256 i = 1; i < count; ++i) headers[i] = _header(uint64(5 + i), keccak256(headers[i - 1]), 0);
        client.trust(keccak256(headers[count - 1]));
        return abi.encodeCall(GridMailbox.deliver, (headers, place, nodes[place], 1));
    }

    /// A log of somebody else.
    function _other() private pure returns (bytes memory) {
        return Write.list(abi.encodePacked(Write.str(new bytes(20)), Write.list(""), Write.str("x")));
    }

    function _good(Message memory m) private returns (bytes memory) {
        return _call(_log(m, mailbox.GRID_MAILBOX(), mailbox.idOf(m)));
    }

    function _do(bytes memory call) private {
        (bool done, bytes memory answer) = address(mailbox).call(call);
        require(done, string(answer));
    }

    function _refused(bytes memory call, bytes4 reason) private {
        (bool done, bytes memory answer) = address(mailbox).call(call);
        require(!done, "taken");
        require(bytes4(answer) == reason, "another reason");
    }

    function _state(Message memory m) private view returns (uint256) {
        return uint256(mailbox.stateOf(mailbox.idOf(m)));
    }

    function test_ids_are_those_of_grid_core() public view {
        Message memory m = Message(
            bytes32(uint256(1)), 2, bytes32(uint256(3)), bytes32(uint256(4)), bytes32(uint256(5)), 6, true, "grid"
        );
        require(
            mailbox.idOf(m) == 0xc12ea2b3750ab3f4a70465ad3527288145d0d93b0a43804f8081d0465ff2323e, "another id"
        );
        require(mailbox.chainKey(1) == keccak256("eip155:1") && mailbox.chainKey(4700000) == keccak256("eip155:4700000"));
        require(mailbox.own() == keccak256("eip155:31337") && mailbox.grid() == keccak256("eip155:7357"));
    }

    function test_sent_messages_are_numbered_and_recorded() public {
        bytes32 to = bytes32(uint256(9));
        bytes32 grid = mailbox.grid();
        bytes32 me = bytes32(uint256(uint160(address(this))));
        bytes32 first = mailbox.send(grid, to, 0, false, "a");
        bytes32 second = mailbox.send(grid, to, 0, false, "a");
        bytes32 ordered = mailbox.send(grid, to, uint64(NOW + 1), true, "a");
        require(first == mailbox.idOf(Message(mailbox.own(), 0, me, grid, to, 0, false, "a")));
        require(second == mailbox.idOf(Message(mailbox.own(), 1, me, grid, to, 0, false, "a")));
        require(ordered == mailbox.idOf(Message(mailbox.own(), 0, me, grid, to, uint64(NOW + 1), true, "a")));
        require(uint256(mailbox.stateOf(first)) == 1);
        _refused(abi.encodeCall(GridMailbox.send, (mailbox.own(), to, 0, false, "")), GridMailbox.WrongDestination.selector);
        _refused(abi.encodeCall(GridMailbox.send, (grid, 0, 0, false, "")), GridMailbox.NoRecipient.selector);
        _refused(abi.encodeCall(GridMailbox.send, (grid, to, uint64(NOW), false, "")), GridMailbox.DeadlineOver.selector);
        _refused(abi.encodeCall(GridMailbox.send, (grid, to, 0, true, "")), GridMailbox.DeadlineMissing.selector);
        _refused(
            abi.encodeCall(GridMailbox.send, (grid, to, 0, false, new bytes(4097))), GridMailbox.PayloadTooLong.selector
        );
    }

    function test_a_message_takes_effect_once() public {
        Message memory m = _message(0, false, 0);
        bytes memory call = _good(m);
        _do(call);
        require(recipient.count() == 1 && keccak256(recipient.last()) == keccak256("hello") && _state(m) == 2);
        _refused(call, GridMailbox.AlreadyKnown.selector);
        // From another block, and at every place of a block.
        for (uint256 place = 0; place < 3; ++place) {
            _refused(
                _callIn(_log(m, mailbox.GRID_MAILBOX(), mailbox.idOf(m)), place, 3), GridMailbox.AlreadyKnown.selector
            );
            Message memory next = _message(uint64(place + 1), false, 0);
            _do(_callIn(_log(next, mailbox.GRID_MAILBOX(), mailbox.idOf(next)), place, place + 1));
        }
        require(recipient.count() == 4);
    }

    function test_a_recipient_that_calls_back_finds_it_delivered() public {
        bytes memory call = _good(_message(0, false, 0));
        recipient.repeat(call);
        _do(call);
        require(recipient.count() == 1 && recipient.againFailed());
    }

    function test_a_refusal_of_the_recipient_leaves_it_for_later() public {
        Message memory m = _message(0, true, uint64(NOW + 10));
        bytes memory call = _good(m);
        recipient.refuse(true);
        _refused(call, bytes4(keccak256("Error(string)")));
        require(_state(m) == 0);
        recipient.refuse(false);
        _do(call);
        require(_state(m) == 2);
    }

    function test_ordered_messages_take_turns_and_expire() public {
        bytes memory one = _good(_message(0, true, uint64(NOW + 10)));
        bytes memory two = _good(_message(1, true, uint64(NOW + 99)));
        _refused(two, GridMailbox.OutOfOrder.selector);
        vm.warp(NOW + 11);
        _do(one);
        require(_state(_message(0, true, uint64(NOW + 10))) == 3 && recipient.count() == 0);
        _do(two);
        _refused(one, GridMailbox.AlreadyKnown.selector);
        require(recipient.count() == 1);
    }

    function test_what_is_no_message_of_grid_is_refused() public {
        Message memory m = _message(0, false, 0);
        bytes32 id = mailbox.idOf(m);
        _refused(_call(_log(m, address(this), id)), GridMailbox.NotAMessage.selector);
        _refused(_call(_log(m, mailbox.GRID_MAILBOX(), bytes32(uint256(id) ^ 1))), GridMailbox.NotAMessage.selector);
        m.source = keccak256("eip155:1");
        _refused(_good(m), GridMailbox.WrongSource.selector);
        m = _message(0, false, 0);
        m.destination = keccak256("eip155:1");
        _refused(_good(m), GridMailbox.WrongDestination.selector);
        m = _message(0, false, 0);
        m.recipient = keccak256("no address");
        _refused(_good(m), GridMailbox.NoRecipient.selector);
    }

    function test_a_block_that_the_client_does_not_vouch_for_is_refused() public {
        Message memory m = _message(0, false, 0);
        bytes memory call = _good(m);
        (bytes[] memory headers, uint256 place, bytes[] memory nodes, uint256 log) =
            abi.decode(_arguments(call), (bytes[], uint256, bytes[], uint256));
        // An untrusted one on top, and one that is no parent below.
        bytes[] memory more = new bytes[](2);
        (more[0], more[1]) = (headers[0], _header(6, keccak256(headers[0]), 0));
        _refused(abi.encodeCall(GridMailbox.deliver, (more, place, nodes, log)), GridMailbox.NotTrusted.selector);
        (more[0], more[1]) = (_header(4, 0, 0), headers[0]);
        _refused(abi.encodeCall(GridMailbox.deliver, (more, place, nodes, log)), GridMailbox.NotLinked.selector);
        _refused(abi.encodeCall(GridMailbox.deliver, (headers, 2, nodes, log)), Receipts.BadProof.selector);
        _refused(abi.encodeCall(GridMailbox.deliver, (headers, place, nodes, 2)), Receipts.NoLog.selector);
        nodes[2][40] ^= 0x01;
        _refused(abi.encodeCall(GridMailbox.deliver, (headers, place, nodes, log)), Receipts.BadProof.selector);
        client.freeze();
        _refused(call, GridMailbox.ClientFrozen.selector);
    }

    function _arguments(bytes memory call) private pure returns (bytes memory rest) {
        rest = new bytes(call.length - 4);
        for (uint256 i = 0; i < rest.length; ++i) rest[i] = call[i + 4];
    }
}
