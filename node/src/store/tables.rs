//! The tables of the database, and the compact encodings of their values.
//!
//! Integers in keys are redb's own; hashes stay in their chain's internal byte order. Changing anything
//! here means raising [`SCHEMA`].

use alloy_consensus::{Receipt, ReceiptEnvelope, TxType};
use alloy_primitives::{Address, B256, Log};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use grid_core::grid::{CommitCertificate, RecoverableSignature};
use redb::TableDefinition;

/// Version of the tables' layout. A database of another version is refused.
pub(crate) const SCHEMA: u32 = 2;

/// A 32-byte key.
pub(crate) type Key32 = &'static [u8; 32];

/// Single values, see the `META_…` keys.
pub(crate) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// [`SCHEMA`], big-endian.
pub(crate) const META_SCHEMA: &str = "schema";
/// Hash of the genesis block.
pub(crate) const META_GENESIS: &str = "genesis";
/// Height of the last committed block, big-endian.
pub(crate) const META_HEAD: &str = "head";

/// Height → RLP of the block.
pub(crate) const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");
/// Block hash → height.
pub(crate) const BLOCK_HEIGHTS: TableDefinition<'static, Key32, u64> =
    TableDefinition::new("block_heights");
/// Height → commit certificate, see [`encode_certificate`].
pub(crate) const CERTIFICATES: TableDefinition<'static, u64, &[u8]> =
    TableDefinition::new("certificates");
/// Height → [`encode_receipts`]; absent for a block without transactions.
pub(crate) const RECEIPTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("receipts");
/// Transaction hash → height and index in the block.
pub(crate) const TRANSACTIONS: TableDefinition<'static, Key32, (u64, u32)> =
    TableDefinition::new("transactions");
/// Height → JSON of the validator set that decides it and the heights after it, up to the next row.
pub(crate) const VALIDATORS: TableDefinition<'static, u64, &[u8]> =
    TableDefinition::new("validators");

/// State key → value, as of the head.
pub(crate) const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("values");
/// Node key → node of the authenticated state tree, as of the head.
pub(crate) const TREE_NODES: TableDefinition<'static, &[u8], &[u8]> =
    TableDefinition::new("tree_nodes");

/// (Chain, height) → ABI encoding of the confirmed header.
pub(crate) const HEADERS: TableDefinition<'static, (Key32, u64), &[u8]> =
    TableDefinition::new("headers");
/// (Chain, block hash) → height of the confirmed header.
pub(crate) const HEADER_HEIGHTS: TableDefinition<'static, (Key32, Key32), u64> =
    TableDefinition::new("header_heights");
/// (Chain, position) → node of the chain's accumulator.
pub(crate) const MMR_NODES: TableDefinition<'static, (Key32, u64), Key32> =
    TableDefinition::new("mmr_nodes");
/// Chain → first height and number of leaves of its accumulator.
pub(crate) const RANGES: TableDefinition<'static, Key32, (u64, u64)> =
    TableDefinition::new("ranges");

/// (Height, block hash) → body of a proposal that is not committed yet.
pub(crate) const BODIES: TableDefinition<'static, (u64, Key32), &[u8]> =
    TableDefinition::new("bodies");

/// (Validator, epoch) → call data that proves that it voted twice. Made with the first evidence.
pub(crate) const EVIDENCE: TableDefinition<'static, (&'static [u8; 20], u64), &[u8]> =
    TableDefinition::new("evidence");

/// What execution adds to a block's transactions, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredReceipts {
    /// Who signed each transaction; kept so that nobody recovers it again.
    pub senders: Vec<Address>,
    /// The receipts.
    pub receipts: Vec<ReceiptEnvelope>,
}

/// A receipt without its bloom filter: 256 bytes that follow from the logs.
#[derive(RlpEncodable, RlpDecodable)]
struct ReceiptRow {
    tx_type: u8,
    success: bool,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ReceiptRows {
    senders: Vec<Address>,
    rows: Vec<ReceiptRow>,
}

/// RLP of senders and receipts.
pub(crate) fn encode_receipts(senders: &[Address], receipts: &[ReceiptEnvelope]) -> Vec<u8> {
    let row = |receipt: &ReceiptEnvelope| ReceiptRow {
        tx_type: receipt.tx_type().into(),
        success: receipt.status(),
        cumulative_gas_used: receipt.cumulative_gas_used(),
        logs: receipt.logs().to_vec(),
    };
    let rows = receipts.iter().map(row).collect();
    alloy_rlp::encode(ReceiptRows { senders: senders.to_vec(), rows })
}

/// Reads [`encode_receipts`].
pub(crate) fn decode_receipts(bytes: &[u8]) -> alloy_rlp::Result<StoredReceipts> {
    let ReceiptRows { senders, rows } = alloy_rlp::decode_exact(bytes)?;
    let receipt = |row: ReceiptRow| {
        let tx_type = TxType::try_from(row.tx_type)
            .map_err(|_| alloy_rlp::Error::Custom("unknown transaction type"))?;
        let (status, logs) = (row.success.into(), row.logs);
        let receipt = Receipt { status, cumulative_gas_used: row.cumulative_gas_used, logs };
        Ok(ReceiptEnvelope::from_typed(tx_type, receipt.with_bloom()))
    };
    let receipts = rows.into_iter().map(receipt).collect::<alloy_rlp::Result<_>>()?;
    Ok(StoredReceipts { senders, receipts })
}

/// Layout version of [`encode_certificate`].
const CERTIFICATE_VERSION: u8 = 1;
const CERTIFICATE_HEAD: usize = 1 + 8 + 4 + 32;

/// `version ‖ height (u64 BE) ‖ round (u32 BE) ‖ block hash ‖ signatures of 65 bytes`.
pub(crate) fn encode_certificate(certificate: &CommitCertificate) -> Vec<u8> {
    let mut out = Vec::with_capacity(CERTIFICATE_HEAD + 65 * certificate.signatures.len());
    out.push(CERTIFICATE_VERSION);
    out.extend_from_slice(&certificate.height.to_be_bytes());
    out.extend_from_slice(&certificate.round.to_be_bytes());
    out.extend_from_slice(certificate.block_hash.as_slice());
    for signature in &certificate.signatures {
        out.extend_from_slice(signature.as_bytes());
    }
    out
}

/// Reads [`encode_certificate`]; `None` for anything else.
pub(crate) fn decode_certificate(bytes: &[u8]) -> Option<CommitCertificate> {
    let (version, rest) = bytes.split_first()?;
    if *version != CERTIFICATE_VERSION {
        return None;
    }
    let (height, rest) = rest.split_first_chunk::<8>()?;
    let (round, rest) = rest.split_first_chunk::<4>()?;
    let (block_hash, rest) = rest.split_first_chunk::<32>()?;
    let chunks = rest.chunks_exact(65);
    if !chunks.remainder().is_empty() {
        return None;
    }
    let signatures = chunks.map(RecoverableSignature::from_slice).collect::<Option<Vec<_>>>()?;
    Some(CommitCertificate {
        height: u64::from_be_bytes(*height),
        round: u32::from_be_bytes(*round),
        block_hash: B256::from(*block_hash),
        signatures,
    })
}
