// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// A fungible token for development networks: the events and the storage layout of an ERC-20,
/// without allowances. Slot 0 holds `totalSupply`, slot 1 the mapping `balanceOf`.
contract Token {
    event Transfer(address indexed from, address indexed to, uint256 value);

    string public constant name = "Grid development token";
    string public constant symbol = "DEV";
    uint8 public constant decimals = 18;

    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    constructor() {
        totalSupply = 1_000_000_000 ether;
        balanceOf[msg.sender] = totalSupply;
        emit Transfer(address(0), msg.sender, totalSupply);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        uint256 balance = balanceOf[msg.sender];
        require(balance >= value, "balance too low");
        unchecked {
            balanceOf[msg.sender] = balance - value;
            balanceOf[to] += value;
        }
        emit Transfer(msg.sender, to, value);
        return true;
    }
}
