// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Generated from grid-core/src/modules/abi.rs.
// The system contract at 0x0000000000000000000000000000000000001001.

/// Which chains take part.
interface Registry {
    /// A chain was registered.
    event Registered(bytes32 indexed chain, string id, uint8 level, uint8 security);
    /// A chain's status changed (0 active, 1 suspended, 2 frozen, 3 terminated).
    event StatusChanged(bytes32 indexed chain, uint8 status);
    /// A chain's measured level is another one, by the headers up to `height`; the median is in seconds. Both are zero where a reorganisation undid the first measurement.
    event LevelChanged(bytes32 indexed chain, uint8 level, uint64 height, uint64 medianInterval);

    /// Registers a chain from the JSON of its record; the governor only.
    function register(bytes calldata record) external returns (bytes32 chain);
    /// Changes a chain's status; the governor only.
    function setStatus(bytes32 chain, uint8 status) external;
    /// The keys of all registered chains, sorted.
    function chains() external view returns (bytes32[] memory keys);
    /// A chain's record as JSON.
    function record(bytes32 chain) external view returns (bytes memory json);
    /// A chain's status.
    function status(bytes32 chain) external view returns (uint8 code);
    /// A chain's speed level (0 to 3), whether it follows the headers, and the newest measurement: the last header's height and the median interval in seconds, zeros before the first.
    function level(bytes32 chain) external view returns (uint8 code, bool measured, uint64 height, uint64 medianInterval);
    /// The account that may register chains and change their status.
    function governor() external view returns (address account);
}
