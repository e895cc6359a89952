//! Signatures: secp256k1, recoverable, 65 bytes.

use std::cmp::Ordering;

use arc_malachitebft_core_types::SigningScheme;
use borsh::{BorshDeserialize, BorshSerialize, io};
use grid_core::grid::RecoverableSignature;
use k256::ecdsa::SigningKey;

use super::Address;

/// A signature of a vote, a proposal, a part or a validator proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Signature(pub(crate) RecoverableSignature);

impl Signature {
    const LENGTH: usize = 65;
}

// An order is asked for by the engine's maps; it has no meaning.
impl Ord for Signature {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl PartialOrd for Signature {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl BorshSerialize for Signature {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.0.as_bytes())
    }
}

impl BorshDeserialize for Signature {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let bytes = <[u8; Self::LENGTH]>::deserialize_reader(reader)?;
        Ok(Self(RecoverableSignature::from_bytes(bytes)))
    }
}

/// Recoverable ECDSA over keccak256 digests; keys are named by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scheme;

impl SigningScheme for Scheme {
    type DecodingError = String;
    type Signature = Signature;
    type PublicKey = Address;
    type PrivateKey = SigningKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, String> {
        RecoverableSignature::from_slice(bytes)
            .map(Signature)
            .ok_or_else(|| format!("a signature has 65 bytes, found {}", bytes.len()))
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<Address, String> {
        <[u8; 20]>::try_from(bytes)
            .map(|bytes| Address(bytes.into()))
            .map_err(|_| format!("an address has 20 bytes, found {}", bytes.len()))
    }

    fn encode_public_key(address: &Address) -> Vec<u8> {
        address.0.to_vec()
    }
}
