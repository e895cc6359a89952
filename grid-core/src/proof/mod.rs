//! Cross-chain proofs: one self-contained statement about a foreign chain, checked without a network.
//!
//! A proof climbs, hash by hash, from a fact to something that the verifier trusts:
//!
//! ```text
//! inclusion        the fact under a root of the foreign header        (txRoot, receiptsRoot, stateRoot)
//! header           leaf = keccak256(0x00 ‖ abi.encode(CompatHeader))
//! segment          accumulator proof: leaf → accumulatorRoot          (crate::mmr)
//!                  entry: ChainEntry with accumulatorRoot and count   (crate::index)
//!                  tree proof: entry → indexRoot                      (crate::tree)
//!                  Grid header: RLP; its extraData holds indexRoot; its keccak256 is the block hash
//! anchor           certificate over the block hash by a trusted validator set, or a trusted hash
//! ```
//!
//! What a contract does to check one (Solidity, after decoding):
//!
//! ```text
//! require(keccak256(bytes(source)) == header.chain && header.chain == entry.chain);
//! require(accumulator.count == entry.count && accumulator.leafIndex == header.height - entry.firstHeight);
//! require(mmrRoot(leaf(abi.encode(header)), accumulator) == entry.accumulatorRoot);
//! require(indexBind(index.count, treeRoot(leaf(abi.encode(entry)), index)) == extension.indexRoot);
//! require(keccak256(abi.encode(validators)) == extension.validatorsHash && trusted(validators));
//! require(certificate.blockHash == keccak256(gridHeader) && certificate.height == number(gridHeader));
//! require(3 * signedPower(voteDigest(certificate), signatures) > 2 * totalPower);
//! ```
//!
//! Every byte of a proof is bound: the binary form ([`CrossChainProof::to_abi`]) and the JSON form
//! ([`CrossChainProof::to_json`]) are canonical, and a proof with any byte changed is refused. Everything
//! is capped in size before it is hashed.

pub mod block;
pub mod build;
pub mod claim;
mod codec;
pub mod ethereum;
pub mod facts;
mod follow;
mod json;
mod types;
pub mod verify;

pub use block::{BlockProof, BlockProofError, BlockProven};
pub use claim::{AccountState, Claim, Outcome, PlacedLog, ProvenLog};
pub use codec::{CodecError, MAX_PROOF_BYTES};
pub use follow::{FollowError, verify_from};
pub use json::{JsonError, MAX_JSON_BYTES};
pub use types::{Anchor, CrossChainProof, Inclusion, OutputRef, PROOF_VERSION, Segment};
pub use verify::{Proven, Trust, TrustAnchor, Verified, VerifyError, verify};

#[cfg(test)]
mod tests;
