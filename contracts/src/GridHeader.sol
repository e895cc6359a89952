// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// What a Grid header adds to an Ethereum header: the ABI encoding of this struct is its `extraData`.
struct Extension {
    uint16 version;
    uint64 timeMs;
    bytes32 indexRoot;
    bytes32 validatorsHash;
    bytes32 nextValidatorsHash;
    bytes32 collectionHash;
    bytes extra;
}

/// The fields of a Grid header that a light client needs.
struct Header {
    bytes32 hash;
    bytes32 parentHash;
    bytes32 stateRoot;
    uint64 number;
    Extension extension;
}

/// Reads a Grid header from its RLP. Every byte is accounted for: a header has one encoding.
library GridHeader {
    /// The bytes are not the RLP of a Grid header.
    error MalformedHeader();
    /// The extension is not the one canonical encoding of a known version, or the two times of the header disagree.
    error MalformedExtension();

    /// The most bytes of a header.
    uint256 internal constant MAX_BYTES = 4096;
    /// The most bytes of the chain's own fields.
    uint256 internal constant MAX_EXTRA = 256;

    /// Where the fields of fixed length end: list prefix (3), parent and ommers (2 * 33), beneficiary (21), three roots
    /// (3 * 33), bloom (3 + 256). Difficulty follows.
    uint256 private constant FIXED = 3 + 2 * 33 + 21 + 3 * 33 + 3 + 256;

    function decode(bytes calldata rlp) internal pure returns (Header memory header) {
        uint256 end = rlp.length;
        // A header has more than 255 bytes, because of its bloom, and fewer than 65,536.
        if (end > MAX_BYTES || end < FIXED || uint8(rlp[0]) != 0xf9) revert MalformedHeader();
        if (uint16(bytes2(rlp[1:3])) != end - 3) revert MalformedHeader();
        _fixedFields(rlp);
        header.hash = keccak256(rlp);
        header.parentHash = bytes32(rlp[4:36]);
        header.stateRoot = bytes32(rlp[91:123]);

        uint256 cursor = FIXED;
        (, cursor) = _number(rlp, cursor, 32); // difficulty
        uint256 number;
        (number, cursor) = _number(rlp, cursor, 8);
        header.number = uint64(number);
        (, cursor) = _number(rlp, cursor, 8); // gas limit
        (, cursor) = _number(rlp, cursor, 8); // gas used
        uint256 timestamp;
        (timestamp, cursor) = _number(rlp, cursor, 8);
        uint256 start;
        (start, cursor) = _bytes(rlp, cursor);
        header.extension = _extension(rlp[start:cursor], timestamp);

        // mixHash and nonce, then the base fee: a Grid header has no fields of later forks.
        if (cursor + 33 + 9 >= end || uint8(rlp[cursor]) != 0xa0 || uint8(rlp[cursor + 33]) != 0x88) revert MalformedHeader();
        (, cursor) = _number(rlp, cursor + 42, 8);
        if (cursor != end) revert MalformedHeader();
    }

    /// The prefixes of the fields that always have the same length.
    function _fixedFields(bytes calldata rlp) private pure {
        bool good = uint8(rlp[3]) == 0xa0 && uint8(rlp[36]) == 0xa0 && uint8(rlp[69]) == 0x94
            && uint8(rlp[90]) == 0xa0 && uint8(rlp[123]) == 0xa0 && uint8(rlp[156]) == 0xa0
            && bytes3(rlp[189:192]) == 0xb90100;
        if (!good) revert MalformedHeader();
    }

    /// A number without leading zeros, cursor most `most` bytes, and where it ends.
    function _number(bytes calldata rlp, uint256 cursor, uint256 most) private pure returns (uint256 value, uint256 next) {
        if (cursor >= rlp.length) revert MalformedHeader();
        uint256 prefix = uint8(rlp[cursor]);
        if (prefix == 0x80) return (0, cursor + 1);
        if (prefix < 0x80) {
            if (prefix == 0) revert MalformedHeader();
            return (prefix, cursor + 1);
        }
        uint256 length = prefix - 0x80;
        next = cursor + 1 + length;
        if (length > most || next > rlp.length || uint8(rlp[cursor + 1]) == 0) revert MalformedHeader();
        value = uint256(bytes32(rlp[cursor + 1:next])) >> (8 * (32 - length));
        if (value < 0x80) revert MalformedHeader();
    }

    /// Where a byte string of 56 bytes or more begins, and where it ends: an extension is never shorter.
    function _bytes(bytes calldata rlp, uint256 cursor) private pure returns (uint256 start, uint256 end) {
        if (cursor + 3 > rlp.length) revert MalformedHeader();
        uint256 prefix = uint8(rlp[cursor]);
        uint256 length;
        if (prefix == 0xb8) {
            length = uint8(rlp[cursor + 1]);
            start = cursor + 2;
            if (length < 56) revert MalformedHeader();
        } else if (prefix == 0xb9) {
            length = uint16(bytes2(rlp[cursor + 1:cursor + 3]));
            start = cursor + 3;
            if (length < 256) revert MalformedHeader();
        } else {
            revert MalformedHeader();
        }
        end = start + length;
        if (end > rlp.length) revert MalformedHeader();
    }

    function _extension(bytes calldata data, uint256 timestamp) private pure returns (Extension memory extension) {
        extension = abi.decode(data, (Extension));
        bool good = extension.version == 1 && extension.extra.length <= MAX_EXTRA
            && keccak256(abi.encode(extension)) == keccak256(data) && extension.timeMs / 1000 == timestamp;
        if (!good) revert MalformedExtension();
    }
}
