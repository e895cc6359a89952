// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Rlp} from "./Rlp.sol";

/// A log of a transaction: who emitted it, and what it says.
struct Log {
    address emitter;
    bytes32[] topics;
    bytes data;
}

/// Finds a log under a block's `receiptsRoot`, by the nodes of the trie from its root to the receipt.
library Receipts {
    /// The nodes do not lead from the root to a receipt at that index.
    error BadProof(uint256 node);
    /// The receipt has no such log.
    error NoLog();

    /// The log at a position in the receipt of the transaction at a position in the block.
    function log(bytes32 root, uint256 transaction, bytes[] calldata nodes, uint256 position)
        internal
        pure
        returns (Log memory found)
    {
        return _log(_receipt(root, _key(transaction), nodes), position);
    }

    /// A transaction's key in the trie: the RLP of its index.
    function _key(uint256 index) private pure returns (bytes memory) {
        if (index == 0) return hex"80";
        if (index < 0x80) return abi.encodePacked(uint8(index));
        if (index < 0x100) return abi.encodePacked(uint8(0x81), uint8(index));
        if (index < 0x10000) return abi.encodePacked(uint8(0x82), uint16(index));
        revert NoLog();
    }

    /// A receipt has 256 bytes and more, so no node of the trie is short enough to stand inside another one; no key begins
    /// another one, so no branch holds a value.
    function _receipt(bytes32 root, bytes memory key, bytes[] calldata nodes) private pure returns (bytes calldata) {
        uint256 place; // nibbles of the key that are used
        for (uint256 i = 0; i < nodes.length; ++i) {
            if (keccak256(nodes[i]) != root) revert BadProof(i);
            bool leaf;
            (root, place, leaf) = _step(nodes[i], key, place, i);
            if (!leaf) continue;
            if (place != key.length * 2 || i + 1 != nodes.length) revert BadProof(i);
            (, bytes calldata value) = _pair(nodes[i], i);
            return value;
        }
        revert BadProof(nodes.length);
    }

    /// What a node leads to, and how many nibbles of the key are used then.
    function _step(bytes calldata node, bytes memory key, uint256 place, uint256 index)
        private
        pure
        returns (bytes32 child, uint256 next, bool leaf)
    {
        (bytes calldata first, bytes calldata second) = _pair(node, index);
        if (first.length == 0) {
            if (place == key.length * 2) revert BadProof(index);
            return (_child(node, _nibble(key, place), index), place + 1, false);
        }
        (leaf, next) = _follow(first, key, place, index);
        if (!leaf) child = _hash(second, index);
    }

    /// The two items of an extension or a leaf; nothing for a branch.
    function _pair(bytes calldata node, uint256 index) private pure returns (bytes calldata, bytes calldata) {
        (bool list, uint256 start, uint256 end) = Rlp.item(node, 0);
        if (!list || end != node.length) revert BadProof(index);
        uint256 path;
        (, start, path) = Rlp.item(node, start);
        (, uint256 from, uint256 to) = Rlp.item(node, path);
        if (to != end) return (node[:0], node[:0]);
        if (start == path) revert BadProof(index);
        return (node[start:path], node[from:to]);
    }

    /// What a branch leads to.
    function _child(bytes calldata node, uint256 nibble, uint256 index) private pure returns (bytes32) {
        (, uint256 start,) = Rlp.item(node, 0);
        (uint256 from, uint256 to) = Rlp.nth(node, start, nibble);
        return _hash(node[from:to], index);
    }

    /// Follows the path of an extension or a leaf.
    function _follow(bytes calldata path, bytes memory key, uint256 place, uint256 node)
        private
        pure
        returns (bool leaf, uint256)
    {
        uint256 flag = uint8(path[0]) >> 4;
        if (flag > 3) revert BadProof(node);
        for (uint256 offset = flag % 2 == 1 ? 1 : 2; offset < path.length * 2; ++offset) {
            uint256 wanted = uint8(path[offset / 2]);
            wanted = offset % 2 == 0 ? wanted >> 4 : wanted & 15;
            if (place == key.length * 2 || _nibble(key, place) != wanted) revert BadProof(node);
            ++place;
        }
        return (flag >= 2, place);
    }

    function _nibble(bytes memory key, uint256 offset) private pure returns (uint256) {
        uint256 both = uint8(key[offset / 2]);
        return offset % 2 == 0 ? both >> 4 : both & 15;
    }

    function _hash(bytes calldata item, uint256 node) private pure returns (bytes32) {
        if (item.length != 32) revert BadProof(node);
        return bytes32(item);
    }

    /// EIP-2718 and EIP-658: an optional type, then a list of status, gas, bloom filter and logs.
    function _log(bytes calldata receipt, uint256 position) private pure returns (Log memory found) {
        if (receipt.length == 0) revert NoLog();
        if (uint8(receipt[0]) < 0x80) receipt = receipt[1:];
        (, uint256 offset,) = Rlp.item(receipt, 0);
        uint256 end;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 start;
            (, start, end) = Rlp.item(receipt, offset);
            offset = i < 3 ? end : start;
        }
        for (uint256 i = 0; i < position; ++i) {
            if (offset >= end) revert NoLog();
            (,, offset) = Rlp.item(receipt, offset);
        }
        if (offset >= end) revert NoLog();
        (, offset,) = Rlp.item(receipt, offset);
        (, uint256 from, uint256 to) = Rlp.item(receipt, offset);
        if (to - from != 20) revert NoLog();
        found.emitter = address(bytes20(receipt[from:to]));
        (, from, offset) = Rlp.item(receipt, to);
        found.topics = new bytes32[]((offset - from) / 33);
        for (uint256 i = 0; i < found.topics.length; ++i) {
            found.topics[i] = bytes32(receipt[from + 33 * i + 1:from + 33 * i + 33]);
        }
        (, from, to) = Rlp.item(receipt, offset);
        found.data = receipt[from:to];
    }
}
