// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {GridLightClient, LightUpdate, Trusted, Validator} from "../src/GridLightClient.sol";

interface Vm {
    function readFile(string calldata path) external view returns (string memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonBool(string calldata json, string calldata key) external pure returns (bool);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 timestamp) external;
}

/// Runs the cases that grid-core wrote into fixtures/, and compares every verdict with grid-core's.
contract GridLightClientTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// Shown by forge.
    event log_named_uint(string key, uint256 value);

    error Differs(string name, bool grid, bytes reason);

    uint64 private constant FOREVER = type(uint64).max;

    function test_every_verdict_is_that_of_grid_core() public {
        uint256 count = vm.parseJsonUint(vm.readFile("./fixtures/all.json"), ".count");
        require(count > 0, "no case");
        for (uint256 i = 0; i < count; ++i) {
            _case(vm.readFile(string.concat("./fixtures/", vm.toString(i), ".json")));
        }
    }

    function _case(string memory json) private {
        string memory name = vm.parseJsonString(json, ".name");
        bool good = vm.parseJsonBool(json, ".good");
        vm.warp(vm.parseJsonUint(json, ".now"));
        GridLightClient client = new GridLightClient(
            abi.decode(vm.parseJsonBytes(json, ".trusted"), (Trusted)),
            uint64(vm.parseJsonUint(json, ".period")),
            uint64(vm.parseJsonUint(json, ".drift"))
        );
        bytes memory call = abi.encodePacked(GridLightClient.advance.selector, vm.parseJsonBytes(json, ".call"));
        uint256 before = gasleft();
        (bool taken, bytes memory answer) = address(client).call(call);
        uint256 used = before - gasleft();
        if (taken != good) revert Differs(name, good, answer);
        if (!good) return;
        bytes32 expected = vm.parseJsonBytes32(json, ".commitment");
        require(client.commitment() == expected, "another commitment than grid-core's");
        if (vm.parseJsonBool(json, ".measured")) {
            emit log_named_uint(name, used + _calldataGas(call));
        }
    }

    /// EIP-2028, and what every transaction costs.
    function _calldataGas(bytes memory call) private pure returns (uint256 gas) {
        gas = 21_000;
        for (uint256 i = 0; i < call.length; ++i) {
            gas += call[i] == 0 ? 4 : 16;
        }
    }

    function test_a_contradiction_stops_the_client() public {
        string memory json = vm.readFile("./fixtures/all.json");
        vm.warp(vm.parseJsonUint(json, ".conflict.now"));
        Trusted memory trusted = abi.decode(vm.parseJsonBytes(json, ".conflict.trusted"), (Trusted));
        Validator[] memory set = abi.decode(vm.parseJsonBytes(json, ".conflict.set"), (Validator[]));
        LightUpdate memory one = abi.decode(vm.parseJsonBytes(json, ".conflict.one"), (LightUpdate));
        LightUpdate memory other = abi.decode(vm.parseJsonBytes(json, ".conflict.other"), (LightUpdate));
        GridLightClient client = new GridLightClient(trusted, FOREVER, FOREVER);
        (bool same,) = address(client).call(abi.encodeCall(client.freeze, (trusted, set, one, one)));
        require(!same, "a block does not contradict itself");
        client.freeze(trusted, set, one, other);
        require(client.commitment() == 0, "frozen");
        (bool taken,) = address(client).call(abi.encodeCall(client.advance, (trusted, set, one)));
        require(!taken, "a frozen client takes nothing");
    }
}
