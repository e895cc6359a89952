//! Solidity interfaces of the system contracts: what `cast` and every Ethereum library call.

#![allow(
    clippy::too_many_arguments,
    reason = "constructors of events, which have a field for each"
)]

use alloy_primitives::{Address, address};
use alloy_sol_types::sol;

/// Address of the registry.
pub const REGISTRY: Address = address!("0x0000000000000000000000000000000000001001");
/// Address of the light clients and the index.
pub const LIGHT_CLIENTS: Address = address!("0x0000000000000000000000000000000000001002");
/// Address of the proof verifier.
pub const PROOFS: Address = address!("0x0000000000000000000000000000000000001003");
/// Address of the mailbox.
pub const MAILBOX: Address = address!("0x0000000000000000000000000000000000001004");
/// Address of the guarantee; its balance is the pool and all that is locked.
pub const GUARANTEE: Address = address!("0x0000000000000000000000000000000000001005");
/// Address of staking; its balance is all that is staked, waits, or is reserved for rewards.
pub const STAKING: Address = address!("0x0000000000000000000000000000000000001006");
/// Address of escrows; its balance is what open ones hold.
pub const ESCROW: Address = address!("0x0000000000000000000000000000000000001008");
/// All system contracts.
pub const SYSTEM_CONTRACTS: [Address; 7] =
    [REGISTRY, LIGHT_CLIENTS, PROOFS, MAILBOX, GUARANTEE, STAKING, ESCROW];

sol! {
    /// Which chains take part.
    #[derive(Debug, PartialEq, Eq)]
    interface Registry {
        /// A chain was registered.
        event Registered(bytes32 indexed chain, string id, uint8 level, uint8 security);
        /// A chain's status changed (0 active, 1 suspended, 2 frozen, 3 terminated).
        event StatusChanged(bytes32 indexed chain, uint8 status);
        /// A chain's measured level is another one, by the headers up to `height`; the median is in seconds. Both are zero where a reorganisation undid the first measurement.
        event LevelChanged(bytes32 indexed chain, uint8 level, uint64 height, uint64 medianInterval);

        /// Registers a chain from the JSON of its record; the governor only.
        function register(bytes record) external returns (bytes32 chain);
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

    /// On-chain light clients, accumulators and the index.
    #[derive(Debug, PartialEq, Eq)]
    interface LightClients {
        /// A chain's best tracked header changed.
        event TipChanged(bytes32 indexed chain, uint64 height, bytes32 blockHash);
        /// Another branch became the best one.
        event Reorged(bytes32 indexed chain, uint64 commonHeight, uint64 removed, uint64 added);
        /// Headers became confirmed and entered the accumulator.
        event Indexed(bytes32 indexed chain, uint64 fromHeight, uint64 toHeight);
        /// Confirmed headers were cut off the accumulator after a reorganisation.
        event IndexReverted(bytes32 indexed chain, uint64 fromHeight, uint64 depth);
        /// A reorganisation deeper than the window: the chain is stopped until the governor resumes it.
        event Frozen(bytes32 indexed chain, uint64 commonHeight);
        /// A newer block was proven final: a beacon block by a sync committee, `blockHash` is its execution block; or a
        /// block of another Grid chain by its validators, `slot` is its height and both hashes are its own.
        event FinalityAdvanced(bytes32 indexed chain, uint64 slot, bytes32 blockRoot, bytes32 blockHash);
        /// Two finalities exclude each other: the chain is stopped until the governor restarts it.
        event ConflictingFinality(bytes32 indexed chain, bytes32 known, bytes32 other);
        /// The governor gave the client a new trusted block.
        event Restarted(bytes32 indexed chain, bytes32 checkpoint);

        /// Submits Bitcoin headers, 80 bytes each, concatenated, parents first.
        function submitBitcoinHeaders(bytes32 chain, bytes headers) external returns (uint64 added);
        /// Submits linked Ethereum headers in RLP, ascending, with attesters' signatures over the last one.
        function submitAttestedHeaders(bytes32 chain, bytes[] headers, bytes[] signatures) external returns (uint64 added);
        /// Submits what moves a client whose chain proves its finality (of a beacon chain: bootstrap, updates by period,
        /// finality update, in that order; of a Grid chain: certified blocks, ascending) and linked headers in RLP, ascending, of which the last has a wanted hash. Either list may be empty.
        function submitFinality(bytes32 chain, bytes[] data, bytes[] headers) external returns (uint64 added);
        /// Starts such a client anew from a trusted block, after it fell too far behind or froze; the
        /// governor only. Tracked and confirmed headers stay.
        function restart(bytes32 chain, bytes32 checkpoint, bytes bootstrap) external;
        /// What such a client calls final (of a Grid chain, `slot` is the height); zeros before its bootstrap came.
        function finality(bytes32 chain) external view returns (uint64 slot, bytes32 blockRoot, uint64 time, uint64 period, bool nextCommitteeKnown);
        /// The hashes with which a run of headers may end, lowest gap first.
        function wanted(bytes32 chain) external view returns (bytes32[] memory hashes);
        /// The evidence of two finalities that exclude each other; empty if there is none.
        function conflict(bytes32 chain) external view returns (bytes memory evidence);
        /// The best tracked header.
        function tip(bytes32 chain) external view returns (uint64 height, bytes32 blockHash);
        /// What is stored of the chain's tracked headers, all branches: how many, the bytes of their chunks, and
        /// the height of the oldest.
        function tracked(bytes32 chain) external view returns (uint64 headers, uint64 storedBytes, uint64 oldestHeight);
        /// The confirmed range: `count` headers from `firstHeight`; the hash is that of the last one, or zero.
        function confirmed(bytes32 chain) external view returns (uint64 firstHeight, uint64 count, bytes32 blockHash);
        /// The root of a chain's accumulator.
        function accumulatorRoot(bytes32 chain) external view returns (bytes32 root);
        /// The root of the index after the transactions so far.
        function indexRoot() external view returns (bytes32 root);
    }

    /// Verification of cross-chain proofs against this chain's own recent index roots.
    #[derive(Debug, PartialEq, Eq)]
    interface Proofs {
        /// A proof was accepted.
        event Proven(bytes32 indexed claimHash, bytes32 indexed chain, uint64 height, uint8 security);

        /// Checks a proof in its binary form; reverts with the reason.
        function verify(bytes proof) external view returns (bytes32 claimHash, bytes32 chain, uint64 height, bytes32 blockHash, uint64 time, uint8 security);
        /// Checks a proof and records its claim.
        function submit(bytes proof) external returns (bytes32 claimHash);
        /// The height at which a claim was accepted, or zero.
        function provenAt(bytes32 claimHash) external view returns (uint64 height);
        /// What an accepted claim stands on: the source's chain key and block height; and where a reorganisation took that block off the index, the lowest height that was cut off, the Grid block that did it, how many headers were, and the hash of the highest. All zero where nothing of it happened.
        function standing(bytes32 claimHash) external view returns (uint64 provenAt, bytes32 chain, uint64 height, uint64 brokenFrom, uint64 brokenAt, uint64 depth, bytes32 tipHash);
    }

    /// Messages to and from other chains. Accounts of other chains are 32 bytes, an address in the last 20 of them.
    #[derive(Debug, PartialEq, Eq)]
    interface Mailbox {
        /// A message was sent; its fields in the order of the id are source, nonce, sender, destination, recipient, deadline, ordered, payload.
        event Dispatched(bytes32 indexed id, bytes32 indexed sender, bytes32 indexed destination, bytes32 source, uint64 nonce, bytes32 recipient, uint64 deadline, bool ordered, bytes payload);
        /// A message takes effect, once for each id; `height` is that of the source's block with it.
        event Delivered(bytes32 indexed id, bytes32 indexed source, bytes32 indexed recipient, bytes32 sender, uint64 nonce, uint64 height, bytes payload);
        /// A message was shown after its deadline: it never takes effect.
        event Expired(bytes32 indexed id, bytes32 indexed source, uint64 deadline);
        /// A message that took effect lost its block: in Grid block `gridHeight` the source's index was cut back to below
        /// `fromHeight`, by `depth` headers, of which `tipHash` was the highest.
        event Breached(bytes32 indexed id, bytes32 indexed source, uint64 height, bytes32 blockHash, uint64 fromHeight, uint64 depth, bytes32 tipHash, uint64 gridHeight);
        /// A message that had lost its block stands on another one.
        event Reaffirmed(bytes32 indexed id, bytes32 indexed source, uint64 height, bytes32 blockHash);
        /// A message takes effect before its block is confirmed, under a guarantee; `Delivered` is emitted too.
        event Guaranteed(bytes32 indexed id, bytes32 indexed source, bytes32 indexed guarantee, uint64 height, bytes32 blockHash);
        /// What may pass between two chains changed.
        event RouteChanged(bytes32 indexed source, bytes32 indexed destination, uint8 policy, uint32 maxPayload, uint64 minDepth, address mailbox);
        /// An account was put on a route's list of senders (or of recipients), or taken off it.
        event Listed(bytes32 indexed source, bytes32 indexed destination, bytes32 indexed account, bool sender, bool listed);

        /// Sends a message. `deadline` is in seconds since 1970, 0 for none; an ordered message needs one.
        function send(bytes32 destination, bytes32 recipient, uint64 deadline, bool ordered, bytes payload) external returns (bytes32 id);
        /// Delivers the message that a proof in its binary form shows. For a message of a Bitcoin transaction `evidence` is the
        /// transaction that its first input spends, without witness; otherwise it is empty.
        function deliver(bytes proof, bytes evidence) external returns (bytes32 id, uint8 state);
        /// Delivers the message in an output of a Bitcoin transaction, without witness, whose block is tracked and not confirmed,
        /// under an open guarantee of that transaction; `evidence` as in `deliver`.
        function deliverGuaranteed(bytes32 guarantee, bytes transaction, uint32 output, bytes evidence) external returns (bytes32 id);
        /// The guarantee under which such a message would be taken now: the least cover, who must be its beneficiary, and the most of
        /// the premium that its payer gets back; refused where no guarantee is enough.
        function askOf(bytes32 source, bytes transaction, uint32 output, bytes evidence) external view returns (bytes32 id, uint256 cover, address beneficiary, uint256 premium);
        /// Marks a message that took effect and lost its block.
        function report(bytes32 id) external;
        /// Sets what may pass; the governor only. Bits of the policy: 1 open, 2 listed senders only, 4 listed recipients
        /// only, 8 guaranteed deliveries too.
        function setRoute(bytes32 source, bytes32 destination, uint8 policy, uint32 maxPayload, uint64 minDepth, address mailbox) external;
        /// Puts an account on a route's list of senders (or of recipients), or takes it off; the governor only.
        function setListed(bytes32 source, bytes32 destination, bytes32 account, bool sender, bool listed) external;
        /// What may pass; all zero where nothing may.
        function routeOf(bytes32 source, bytes32 destination) external view returns (uint8 policy, uint32 maxPayload, uint64 minDepth, address mailbox);
        /// Whether an account is on a route's list of senders (or of recipients).
        function isListed(bytes32 source, bytes32 destination, bytes32 account, bool sender) external view returns (bool listed);
        /// The number of a sender's next message: of one to be sent from here, or of an ordered one to take effect here.
        function nextNonce(bytes32 source, bytes32 destination, bytes32 sender, bool ordered) external view returns (uint64 nonce);
        /// How a message stands (0 unknown, 1 sent, 2 delivered, 3 expired, 4 breached, 5 guaranteed), the source's block with it, the
        /// Grid block whose index showed that block, the one that recorded the message; where it took effect and its block is gone, the
        /// lowest height that was cut off and the Grid block that did it; of a guaranteed one the guarantee, and that one's status.
        function messageOf(bytes32 id) external view returns (uint8 state, bytes32 source, bytes32 destination, uint64 height, bytes32 blockHash, uint64 anchor, uint64 gridHeight, uint64 brokenFrom, uint64 brokenAt, bytes32 guarantee, uint8 guaranteeStatus);
    }

    /// Cover for transactions of slow chains that are not confirmed yet. Amounts are in the smallest unit of GRID,
    /// transaction ids and block hashes in internal byte order, times in milliseconds since 1970.
    #[derive(Debug, PartialEq, Eq)]
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
        function request(bytes32 chain, bytes32 blockHash, BitcoinTx payment, uint256 cover, address beneficiary, uint64 deadline) external payable returns (bytes32 id, uint256 premium);
        /// Ends a guarantee whose transaction is confirmed in the block that it was requested with.
        function settle(bytes32 id) external;
        /// Ends a guarantee whose transaction is confirmed in another block.
        function settleIn(bytes32 id, bytes32 blockHash, BitcoinTx payment) external;
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

    /// Delegates, stakes, evidence. Amounts are in the smallest unit of GRID; commissions are parts of 10,000.
    #[derive(Debug, PartialEq, Eq)]
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
        function reportEquivocation(uint64 height, uint32 round, Vote one, Vote other) external returns (uint256 slashed);
        /// Shows who signed one of this epoch's last 256 blocks; signers in increasing order of address.
        function recordCommit(uint64 height, uint32 round, bytes32 blockHash, bytes[] signatures) external returns (uint64 added);
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

    /// GRID that a Bitcoin payment releases.
    #[derive(Debug, PartialEq, Eq)]
    interface Escrow {
        /// GRID was locked.
        event Opened(bytes32 indexed id, address indexed owner, address indexed payee, uint256 value, bytes32 chain, bytes script, uint64 amount, uint64 deadline);
        /// The escrow takes a payment that is not confirmed under a guarantee of at least `cover` for its owner, and gives up to
        /// `premium` back to who paid for it.
        event Asked(bytes32 indexed id, uint256 cover, uint256 premium);
        /// Who paid for the guarantee of a payment that was not confirmed has that much of its premium back.
        event PremiumPaid(bytes32 indexed id, address indexed payer, uint256 premium);
        /// The payment was shown by a message: the payee has the GRID.
        event Released(bytes32 indexed id, address indexed payee, bytes32 indexed message, uint256 value);
        /// The deadline passed: the owner has the GRID back.
        event Refunded(bytes32 indexed id, address indexed owner, uint256 value);

        /// Locks the value for a payee, until a message from a chain of Bitcoin's family names the escrow in a transaction that
        /// pays at least `amount` satoshis to `script`, at most until `deadline`, in seconds since 1970.
        function open(bytes32 chain, bytes script, uint64 amount, address payee, uint64 deadline) external payable returns (bytes32 id);
        /// As `open`, and takes a payment that is not confirmed under a guarantee of at least `cover` with the caller as beneficiary.
        /// `premium` is taken out of the value; as much of it as the guarantee cost goes to who paid for it, the rest back to the caller.
        function openGuaranteed(bytes32 chain, bytes script, uint64 amount, address payee, uint64 deadline, uint256 cover, uint256 premium) external payable returns (bytes32 id);
        /// Gives an escrow back to its owner after the deadline; anybody may call.
        function refund(bytes32 id) external;
        /// How an escrow stands (0 unknown, 1 open, 2 released, 3 refunded), and its terms.
        function escrowOf(bytes32 id) external view returns (uint8 status, address owner, address payee, uint256 value, bytes32 chain, bytes32 scriptHash, uint64 amount, uint64 deadline, uint256 cover, uint256 premium);
    }
}
