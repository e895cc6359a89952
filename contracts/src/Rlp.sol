// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Reads RLP where it stands. The bytes are bound by a hash that somebody trusts, so that only their bounds are checked here,
/// not whether each length has its shortest form.
library Rlp {
    /// The bytes end too early.
    error Malformed();

    /// The item at a position: whether it is a list, and where its content begins and ends.
    function item(bytes calldata data, uint256 offset) internal pure returns (bool list, uint256 start, uint256 end) {
        if (offset >= data.length) revert Malformed();
        uint256 prefix = uint8(data[offset]);
        if (prefix < 0x80) return (false, offset, offset + 1);
        list = prefix >= 0xc0;
        uint256 length = prefix - (list ? 0xc0 : 0x80);
        start = offset + 1;
        if (length > 55) {
            uint256 size = length - 55;
            if (size > 4 || start + size > data.length) revert Malformed();
            length = uint256(bytes32(data[start:start + size])) >> (8 * (32 - size));
            start += size;
        }
        end = start + length;
        if (end > data.length) revert Malformed();
    }

    /// The byte string that is the `count`th item from a position, counted from 0.
    function nth(bytes calldata data, uint256 offset, uint256 count) internal pure returns (uint256 start, uint256 end) {
        bool list;
        for (uint256 i = 0; i <= count; ++i) {
            (list, start, end) = item(data, offset);
            offset = end;
        }
        if (list) revert Malformed();
    }
}
