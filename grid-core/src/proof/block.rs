//! Proofs without Grid: facts about one Bitcoin block, under nothing but its header.
//!
//! Such a proof shows that somebody did the work that the header's own target asks for, and that the facts stand
//! under that header. It does not show that the header is in the chain with the most work, or that its target is the
//! one that the chain asked for: whoever reads it compares the block hash with a chain of headers.

use alloy_primitives::{B256, FixedBytes, U256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    claim::Claim,
    facts::{self, FactError},
    json::{self, JsonError},
    types::Inclusion,
};
use crate::{
    ChainId,
    bitcoin::{
        Header, HeaderError, NetworkParams,
        pow::ProofOfWork,
        spv::{BlockContext, SpvError},
        tx::Tx,
    },
};

/// The version that this crate writes and verifies.
pub const BLOCK_PROOF_VERSION: u16 = 1;

/// Facts about a Bitcoin block, with the header and everything that leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockProof {
    /// Always [`BLOCK_PROOF_VERSION`].
    pub version: u16,
    /// CAIP-2 id of the Bitcoin network.
    pub source: ChainId,
    /// The header, 80 bytes.
    pub header: FixedBytes<80>,
    /// What the proof says. Must equal what the evidence shows.
    pub claim: Claim,
    /// The facts under the header's root.
    pub inclusion: Inclusion,
}

/// What such a proof shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockProven {
    /// Name of the network.
    pub network: String,
    /// Hash of the block, internal byte order.
    pub block_hash: B256,
    /// The header's fields.
    pub header: Header,
    /// Expected number of hashes behind the header, by its own target.
    pub work: U256,
    /// The height that the coinbase states; `None` for a block from before BIP34.
    pub height: Option<u64>,
    /// The facts.
    pub claim: Claim,
}

/// Why such a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockProofError {
    /// Another version.
    #[error("block proof version {0} is not supported, expected {BLOCK_PROOF_VERSION}")]
    Version(u16),
    /// Not one of Bitcoin's networks.
    #[error("{0} is not a Bitcoin network that this version knows")]
    Network(ChainId),
    /// The header lacks the work that it claims.
    #[error("header: {0}")]
    Header(#[from] HeaderError),
    /// The facts are not under the header.
    #[error(transparent)]
    Fact(#[from] FactError),
    /// The evidence shows something else.
    #[error("the evidence shows another fact than the proof claims")]
    Claim,
}

impl BlockProofError {
    /// The rule's name; see [`SpvError::rule`].
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Version(_) => "bad-proof-version",
            Self::Network(_) => "unknown-network",
            Self::Header(_) => "high-hash",
            Self::Fact(error) => error.rule(),
            Self::Claim => "claim-mismatch",
        }
    }
}

impl BlockProof {
    /// Puts header and inclusion together; the claim is what the inclusion shows.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn assemble(
        source: ChainId,
        header: [u8; Header::SIZE],
        inclusion: Inclusion,
    ) -> Result<Self, BlockProofError> {
        let claim = show(&source, &header, &inclusion)?.claim;
        let header = header.into();
        Ok(Self { version: BLOCK_PROOF_VERSION, source, header, claim, inclusion })
    }

    /// Checks the proof: the header's work against its own target, and the facts under the header.
    ///
    /// # Errors
    /// The first [`BlockProofError`] met.
    pub fn verify(&self) -> Result<BlockProven, BlockProofError> {
        if self.version != BLOCK_PROOF_VERSION {
            return Err(BlockProofError::Version(self.version));
        }
        let proven = show(&self.source, &self.header.0, &self.inclusion)?;
        if proven.claim == self.claim { Ok(proven) } else { Err(BlockProofError::Claim) }
    }

    /// The canonical JSON text, with its final newline.
    ///
    /// # Errors
    /// None that a proof can cause; the serialiser's, if it has one.
    pub fn to_json(&self) -> Result<String, JsonError> {
        json::write(self)
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`JsonError`] unless the bytes are the canonical text of a proof.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JsonError> {
        json::read(bytes)
    }
}

fn show(
    source: &ChainId,
    raw: &[u8; Header::SIZE],
    inclusion: &Inclusion,
) -> Result<BlockProven, BlockProofError> {
    let params =
        NetworkParams::by_chain(source).ok_or_else(|| BlockProofError::Network(source.clone()))?;
    let header = Header::parse(raw);
    let block_hash = header.hash();
    let work = ProofOfWork::new(params.pow_limit).check(&header, &block_hash)?;
    let height = stated_height(&params, &header, inclusion)?;
    // A block that states no height is bound by the rules of the network's start.
    let block = BlockContext::new(source, header.merkle_root, height.unwrap_or(0));
    let claim = facts::claim(inclusion, &block)?;
    Ok(BlockProven { network: params.name, block_hash, header, work, height, claim })
}

/// The height in the coinbase, where BIP34 makes it one: from the network's activation on, in blocks of version 2.
fn stated_height(
    params: &NetworkParams,
    header: &Header,
    inclusion: &Inclusion,
) -> Result<Option<u64>, FactError> {
    let coinbase = inclusion.coinbase().map_or(&[][..], |raw| raw);
    let coinbase = Tx::from_stripped(coinbase).map_err(SpvError::Coinbase)?;
    let stated = coinbase.stated_height().filter(|height| *height >= params.bip34_height);
    Ok(stated.filter(|_| header.version >= 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bitcoin::{output::OutputError, spv},
        proof::{
            facts::{BitcoinFact, from_block},
            tests::fixture::{BLOCK_170, bitcoin},
        },
    };

    /// Header of mainnet's block 170.
    const HEADER_170: [u8; 80] = alloy_primitives::hex!(
        "0100000055bd840a78798ad0da853f68974f3d183e2bd1db6a842c1feecf222a00000000ff104ccb05421ab93e63f8c3ce5c2c2e9dbb37de2764b3a3175c8166562cac7d51b96a49ffff001d283e9e70"
    );

    fn payment() -> BlockProof {
        let txs = spv::BlockTxs::new(&BLOCK_170).unwrap();
        let txid = txs.tree().txids()[1];
        let inclusion = from_block(&txs, &[BitcoinFact::Payment { txid, output: 1 }]).unwrap();
        BlockProof::assemble(bitcoin(), HEADER_170, inclusion).unwrap()
    }

    #[test]
    fn the_first_payment_is_proven_under_its_header_alone() {
        let proven = payment().verify().unwrap();
        assert_eq!(proven.network, "mainnet");
        assert_eq!(proven.height, None, "BIP34 came later");
        assert_eq!(proven.work, U256::from(0x0001_0001_0001_u64));
        assert!(matches!(
            proven.claim,
            Claim::BitcoinPayment { output: 1, amount: 4_000_000_000, .. }
        ));
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let json = payment().to_json().unwrap().into_bytes();
        assert_eq!(BlockProof::from_json(&json).unwrap(), payment());
        for at in 0..json.len() {
            let mut bad = json.clone();
            bad[at] ^= if json[at].is_ascii_digit() { 0x01 } else { 0x20 };
            let accepted = BlockProof::from_json(&bad).is_ok_and(|proof| proof.verify().is_ok());
            assert!(!accepted, "byte {at}");
        }
    }

    #[test]
    fn refusals_name_their_rule() {
        let rule = |change: fn(&mut BlockProof)| {
            let mut bad = payment();
            change(&mut bad);
            bad.verify().unwrap_err().rule()
        };
        assert_eq!(rule(|p| p.version = 2), "bad-proof-version");
        assert_eq!(rule(|p| p.header.0[79] ^= 1), "high-hash");
        assert_eq!(rule(|p| p.source = ChainId::eip155(1)), "unknown-network");
        assert_eq!(rule(|p| p.claim = Claim::Header {}), "claim-mismatch");
        assert_eq!(rule(|p| p.inclusion = Inclusion::HeaderOnly {}), "bad-tx-encoding");
        assert_eq!(
            rule(|p| {
                if let Inclusion::BitcoinPayment { tx, .. } = &mut p.inclusion {
                    tx.branch[0] = B256::ZERO;
                }
            }),
            "bad-txnmrklroot"
        );
        let error = OutputError::Missing { output: 2, count: 2 };
        assert_eq!(FactError::Output { index: 1, error }.rule(), "output-missing");
    }
}
