// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Generated from grid-core/src/modules/abi.rs.
// The system contract at 0x0000000000000000000000000000000000001005.

/// Cover for transactions of slow chains that are not confirmed yet. Amounts are in the smallest unit of GRID,
/// transaction ids and block hashes in internal byte order, times in milliseconds since 1970.
interface Guarantee {
    /// An underwriter put GRID into the pool.
    event Deposited(address indexed holder, uint256 tokens, uint256 shares);
    /// An underwriter announced to take shares out; it can be done in this time.
    event Leaving(address indexed holder, uint256 shares, uint64 fromMs, uint64 untilMs);
    /// An underwriter took shares out.
    event Withdrawn(address indexed holder, uint256 tokens, uint256 shares);
    /// A transaction is covered.
    event Requested(bytes32 indexed id, bytes32 indexed chain, address indexed beneficiary, bytes32 txid, uint64 height, uint64 deadline, uint256 cover, uint256 premium);
    /// The transaction is in a confirmed block of this height: the cover is free again, the premium is the pool's.
    event Settled(bytes32 indexed id, uint64 height, uint256 premium);
    /// The deadline passed without the transaction: the beneficiary was paid.
    event Defaulted(bytes32 indexed id, address indexed beneficiary, uint256 paid);
    /// The terms of a chain changed; a block's value of zero closes it.
    event TermsChanged(bytes32 indexed chain, uint32 attackerShare, uint32 spacing, uint256 blockValue);

    /// A transaction without witness, its place in the block, and the coinbase at the same depth.
    struct BitcoinTx { bytes raw; uint64 index; bytes32[] branch; bytes coinbase; bytes32[] coinbaseBranch; }

    /// Puts the value into the pool.
    function deposit() external payable returns (uint256 shares);
    /// Announces to take so many shares out, in place of what was announced before.
    function leave(uint256 shares) external returns (uint64 fromMs, uint64 untilMs);
    /// Takes announced shares out, at what they are worth now, from what is not locked.
    function withdraw(uint256 shares) external returns (uint256 tokens);
    /// Sets a chain's terms; the governor only.
    function setTerms(bytes32 chain, uint32 attackerShare, uint32 spacing, uint256 blockValue) external;
    /// Covers a transaction in a tracked block of the best branch; takes the premium out of the value, not more.
    function request(bytes32 chain, bytes32 blockHash, BitcoinTx calldata payment, uint256 cover, address beneficiary, uint64 deadline) external payable returns (bytes32 id, uint256 premium);
    /// Ends a guarantee whose transaction is confirmed in the block that it was requested with.
    function settle(bytes32 id) external;
    /// Ends a guarantee whose transaction is confirmed in another block.
    function settleIn(bytes32 id, bytes32 blockHash, BitcoinTx calldata payment) external;
    /// Pays the beneficiary of a guarantee whose time is over.
    function claim(bytes32 id) external returns (uint256 paid);
    /// What a cover would cost now: the premium, the block's confirmations, the risk in parts of 10^12, and the most that can be covered.
    function quote(bytes32 chain, bytes32 blockHash, uint256 cover) external view returns (uint256 premium, uint64 confirmations, uint64 risk, uint256 available);
    /// The id of a guarantee.
    function idOf(bytes32 chain, bytes32 txid, address beneficiary, address payer) external view returns (bytes32 id);
    /// A guarantee; status 0 unknown, 1 guaranteed, 2 settled, 3 defaulted.
    function guaranteeOf(bytes32 id) external view returns (uint8 status, bytes32 chain, bytes32 txid, bytes32 blockHash, uint64 height, uint64 deadline, uint256 cover, uint256 premium, address beneficiary, address payer);
    /// The pool: GRID that is free, locked (cover and premiums not earned yet), the cover in it, and all shares.
    function pool() external view returns (uint256 free, uint256 locked, uint256 cover, uint256 shares);
    /// All that was ever deposited, withdrawn, paid as premium and paid to beneficiaries.
    function totals() external view returns (uint256 deposited, uint256 withdrawn, uint256 premiums, uint256 paid);
    /// A holder's shares, what they are worth, and those announced to leave with the time for it.
    function holding(address holder) external view returns (uint256 shares, uint256 tokens, uint256 leaving, uint64 fromMs, uint64 untilMs);
    /// A chain's terms; all zero where it has none.
    function terms(bytes32 chain) external view returns (uint32 attackerShare, uint32 spacing, uint256 blockValue);
    /// The ids of a chain's open guarantees, and what they cover together.
    function openOf(bytes32 chain) external view returns (bytes32[] memory ids, uint256 cover);
    /// The rules as JSON.
    function params() external view returns (bytes memory json);
}
