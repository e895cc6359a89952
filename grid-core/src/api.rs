//! Shapes of the `grid_*` JSON-RPC answers, shared by the node that serves them and by everything that
//! asks. They are data only; nothing here is trusted without a proof.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::{
    ChainId, CompatHeader, Family, Level, Security,
    ethereum::attest::AttesterSet,
    grid::{CommitCertificate, ValidatorSet},
};

/// Height and hash of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockRef {
    /// Height.
    pub height: u64,
    /// Hash, internal byte order.
    pub hash: B256,
}

/// `grid_chains`: one registered chain as the main chain sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainInfo {
    /// CAIP-2 id.
    pub id: ChainId,
    /// `keccak256(id)`.
    pub key: B256,
    /// Header family.
    pub family: Family,
    /// What stands behind its headers.
    pub security: Security,
    /// Speed level.
    pub level: Level,
    /// Whether the level follows the headers; otherwise it is fixed.
    #[serde(default)]
    pub measured: bool,
    /// The newest measurement of a level that follows the headers: the median interval in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_interval: Option<u64>,
    /// `active`, `suspended`, `frozen` or `terminated`.
    pub status: String,
    /// The registered confirmation rule, for people.
    pub rule: String,
    /// First height of the accumulator.
    pub first_height: u64,
    /// Oldest header that the light client still holds.
    pub base: BlockRef,
    /// Best tracked header.
    pub tracked: BlockRef,
    /// Last confirmed header, once there is one.
    pub confirmed: Option<BlockRef>,
    /// Headers that the light client holds, all branches.
    pub tracked_headers: u64,
    /// Bytes that these headers take in the main chain's state.
    #[serde(default)]
    pub tracked_bytes: u64,
    /// Where the light client of a chain with sync committees stands; nothing for other chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// Whose signatures its headers need, where the chain is attested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attesters: Option<AttesterSet>,
    /// Who brought its headers lately: the accounts of the last submissions that blocks took, newest first, each
    /// once. As the asked node saw them: a hint for relayers that take turns, no part of the chain's state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submitters: Vec<Address>,
}

/// Where the main chain's sync-committee client stands: all that a relayer needs to know what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// Whether it has its bootstrap. Until then `finalized_*` are zero and `period` is too.
    pub started: bool,
    /// Root of the trusted beacon block whose bootstrap it starts or started from.
    pub checkpoint: B256,
    /// Slot of the newest finalized beacon block.
    pub finalized_slot: u64,
    /// Its root.
    pub finalized_root: B256,
    /// When that slot began, Unix time in seconds.
    pub finalized_time: u64,
    /// When the client will refuse every update that has not come by then, Unix time in seconds; 0 while it has not
    /// started, or where its rules set no limit.
    #[serde(default)]
    pub expires_at: u64,
    /// The finalized slot's sync-committee period.
    pub period: u64,
    /// Whether the committee of the period after it is known.
    pub next_committee_known: bool,
    /// The hashes with which a run of headers may end, lowest gap first.
    pub wanted: Vec<B256>,
    /// Headers that wait for their ancestors.
    pub pending: u64,
    /// The tree's tip: what is missing starts right above it.
    pub missing_above: BlockRef,
    /// The lowest header that waits, if any.
    pub lowest_pending: Option<BlockRef>,
    /// Settings of the record's policy that are looser than the default, by name.
    pub loosened: Vec<String>,
}

/// `grid_locator(chain)`: hashes of the best tracked branch, tip first, at exponentially growing distances,
/// ending with the base. A relayer finds the last header that its source shares with the main chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Locator {
    /// Best branch, tip first.
    pub best: Vec<BlockRef>,
}

/// `grid_tip`: the newest final Grid block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GridTip {
    /// Number in `eip155:<n>`.
    pub chain_id: u64,
    /// Height.
    pub height: u64,
    /// keccak256 of the header's RLP.
    pub hash: B256,
    /// Block time, milliseconds since 1970.
    pub time_ms: u64,
    /// Root of the index.
    pub index_root: B256,
}

/// `grid_header(chain, height | hash)`: a confirmed header, from the accumulator.
pub type ConfirmedHeader = CompatHeader;

/// `grid_prove(chain, height)`: everything of a proof except the inclusion part: the confirmed header, one segment up to the newest
/// final Grid block, and the anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProveAnswer {
    /// CAIP-2 id of the source.
    pub source: ChainId,
    /// The confirmed header.
    pub header: CompatHeader,
    /// ABI encoding of `proof::Segment`.
    pub segment: Bytes,
    /// The certificate over the segment's Grid block.
    pub certificate: CommitCertificate,
    /// The validators that the certificate is checked against.
    pub validators: ValidatorSet,
}

/// `grid_validators(height)`: who decides that height.
pub type Validators = ValidatorSet;

/// `grid_certificate(height)`.
pub type Certificate = CommitCertificate;

/// One block of `grid_rawBlocks(from, most)`: all that [`Auditor`](crate::audit::Auditor) needs of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawBlock {
    /// The block's RLP.
    pub block: Bytes,
    /// Why it is final.
    pub certificate: CommitCertificate,
    /// Who decides the next block, where they are not those who decided this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_validators: Option<ValidatorSet>,
}

/// `grid_account(address)`: what a submitter needs to continue its nonce sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountInfo {
    /// The account.
    pub address: Address,
    /// Next nonce by committed state.
    pub nonce: u64,
    /// Next nonce counting transactions in the mempool.
    pub pending_nonce: u64,
    /// Balance in the smallest unit of GRID.
    pub balance: U256,
}

/// `grid_status`: how the asked node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Height of the newest block.
    pub height: u64,
    /// Its hash.
    pub block_hash: B256,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// `validator` for a node with a validator's key, else `full`.
    pub role: String,
    /// Address of that key.
    pub validator: Option<Address>,
    /// Whether the validators of the next block include it.
    pub in_set: bool,
    /// Round of the height that is being decided; above 0 a proposer did not make it.
    pub round: u32,
    /// Connected peers of the consensus network.
    pub peers: u64,
    /// Connected peers that gossip transactions.
    pub gossip_peers: u64,
    /// Height of the newest block that a peer says it has; absent where none says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_height: Option<u64>,
    /// Transactions that wait in the mempool.
    pub mempool: u64,
    /// Why the node is not ready, as `/readyz` says it; empty where it is.
    pub problems: Vec<String>,
}

/// `grid_peers`: the connected peers of the asked node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePeers {
    /// Votes and blocks.
    pub consensus: Vec<NodePeer>,
    /// Transactions.
    pub gossip: Vec<NodePeer>,
}

/// One connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePeer {
    /// Its libp2p identity.
    pub peer_id: String,
    /// Multiaddress of the connection.
    pub address: String,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moniker: Option<String>,
    /// The validator's address that it has proved to have the key of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator: Option<Address>,
    /// The newest block that it says it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
}
