// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

// Generated from grid-core/src/modules/abi.rs.
// The system contract at 0x0000000000000000000000000000000000001006.

/// Delegates, stakes, evidence. Amounts are in the smallest unit of GRID; commissions are parts of 10,000.
interface Staking {
    /// A key became a delegate.
    event Registered(address indexed delegate, address indexed owner, uint16 commission);
    /// A stake was added.
    event Delegated(address indexed delegate, address indexed holder, uint256 tokens, uint256 shares);
    /// A stake left; it can be withdrawn from an epoch on.
    event Undelegated(address indexed delegate, address indexed holder, uint256 tokens, uint64 freeFrom);
    /// What left in an epoch was paid out.
    event Withdrawn(address indexed delegate, address indexed holder, uint64 epoch, uint256 tokens);
    /// The reserve for rewards grew.
    event Funded(address indexed from, uint256 tokens);
    /// A delegate takes less than before.
    event CommissionLowered(address indexed delegate, uint16 commission);
    /// A delegate voted twice at a height: stake was taken, a part of it for the reporter, the rest burned.
    event Slashed(address indexed delegate, uint64 height, uint256 tokens, address reporter, uint256 reward, uint64 jailedUntil);
    /// A delegate left jail.
    event Unjailed(address indexed delegate);

    /// A signed vote: kind 1 prevote, 2 prevote for nothing, 3 precommit, 4 precommit for nothing; or a proposal: kind
    /// 5, and as `blockHash` keccak256(abi.encode(int64 validRound, bytes32 blockHash)).
    struct Vote { uint8 kind; bytes32 blockHash; bytes signature; }

    /// Makes the caller, a validator's signing key, a delegate of `owner`; the value is the self-bond.
    function register(address owner, uint16 commission) external payable;
    /// Stakes the value with a delegate.
    function delegate(address delegate) external payable returns (uint256 shares);
    /// Takes shares out; their tokens wait until the unbonding period is over.
    function undelegate(address delegate, uint256 shares) external returns (uint256 tokens, uint64 freeFrom);
    /// Pays out what the caller took out in an epoch.
    function withdraw(address delegate, uint64 epoch) external returns (uint256 tokens);
    /// Lowers the commission; the owner only. It is never raised.
    function lowerCommission(address delegate, uint16 commission) external;
    /// Leaves jail after the term; the owner only.
    function unjail(address delegate) external;
    /// Adds the value to the reserve that pays rewards.
    function fund() external payable;
    /// Shows two votes, or two proposals, of one validator for one height, round and step.
    function reportEquivocation(uint64 height, uint32 round, Vote calldata one, Vote calldata other) external returns (uint256 slashed);
    /// Shows who signed one of this epoch's last 256 blocks; signers in increasing order of address.
    function recordCommit(uint64 height, uint32 round, bytes32 blockHash, bytes[] calldata signatures) external returns (uint64 added);
    /// The delegates that may be elected.
    function candidates() external view returns (address[] memory accounts);
    /// A delegate; `jailedUntil` is the first epoch in which it may leave jail, or zero.
    function delegateInfo(address delegate) external view returns (address owner, uint16 commission, uint256 tokens, uint256 shares, uint64 jailedUntil, bool candidate);
    /// What a holder has with a delegate.
    function stakeOf(address delegate, address holder) external view returns (uint256 shares, uint256 tokens);
    /// What a holder took out in an epoch and has not withdrawn.
    function waitingOf(address delegate, address holder, uint64 epoch) external view returns (uint256 tokens);
    /// The current epoch.
    function epoch() external view returns (uint64 number, uint64 firstHeight, uint64 lastHeight);
    /// What is left for rewards.
    function reserve() external view returns (uint256 tokens);
    /// Blocks counted in this epoch, and how many of them each validator signed, in the order of the set.
    function attendance() external view returns (uint64 counted, uint64[] memory signed);
    /// The rules as JSON.
    function params() external view returns (bytes memory json);
}
