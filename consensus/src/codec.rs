//! The ten codecs, all borsh: for the write-ahead log, for gossip and for sync.
//!
//! Every decoder refuses trailing bytes; lengths are bounded by the message, which the network
//! bounds.

use arc_malachitebft_app_channel::app::types::{
    ProposedValue, SignedConsensusMsg,
    codec::{Codec, HasEncodedLen},
    streaming::StreamMessage,
};
use arc_malachitebft_core_consensus::LivenessMsg;
use arc_malachitebft_core_types::{
    ExtendedCommitCertificate, ExtendedCommitSignature, PolkaCertificate, Round, ValidatorProof,
};
use arc_malachitebft_sync::{RawDecidedValue, Request, Response, Status, ValueResponse};
use borsh::{BorshDeserialize, BorshSerialize, io};
use bytes::Bytes;

use crate::context::{Address, BlockHash, Grid, Height, Part, Signature};

/// Encodes and decodes everything that leaves this process or reaches its log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Borsh;

macro_rules! codecs {
    ($($message:ty),+ $(,)?) => {$(
        impl Codec<$message> for Borsh {
            type Error = io::Error;

            fn decode(&self, bytes: Bytes) -> io::Result<$message> {
                borsh::from_slice(&bytes)
            }

            fn encode(&self, message: &$message) -> io::Result<Bytes> {
                borsh::to_vec(message).map(Bytes::from)
            }
        }
    )+};
}

codecs!(
    Part,
    SignedConsensusMsg<Grid>,
    LivenessMsg<Grid>,
    StreamMessage<Part>,
    ProposedValue<Grid>,
    PolkaCertificate<Grid>,
    Status<Grid>,
    Request<Grid>,
);

/// A validator proof on the wire; the engine's own type has no borsh form.
#[derive(BorshSerialize, BorshDeserialize)]
struct WireProof {
    public_key: Vec<u8>,
    peer_id: Vec<u8>,
    signature: Signature,
}

impl Codec<ValidatorProof<Grid>> for Borsh {
    type Error = io::Error;

    fn decode(&self, bytes: Bytes) -> io::Result<ValidatorProof<Grid>> {
        let wire: WireProof = borsh::from_slice(&bytes)?;
        Ok(ValidatorProof::new(wire.public_key, wire.peer_id, wire.signature))
    }

    fn encode(&self, proof: &ValidatorProof<Grid>) -> io::Result<Bytes> {
        borsh::to_vec(&WireProof {
            public_key: proof.public_key.clone(),
            peer_id: proof.peer_id.clone(),
            signature: proof.signature,
        })
        .map(Bytes::from)
    }
}

/// A decided block on the wire. Votes have no extensions, so the certificate carries none.
#[derive(BorshSerialize, BorshDeserialize)]
struct WireDecided {
    value: Vec<u8>,
    height: Height,
    round: Round,
    hash: BlockHash,
    signatures: Vec<(Address, Signature)>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct WireResponse {
    start: Height,
    values: Vec<WireDecided>,
}

impl From<&ValueResponse<Grid>> for WireResponse {
    fn from(response: &ValueResponse<Grid>) -> Self {
        let values = response.values.iter().map(|decided| WireDecided {
            value: decided.value_bytes.to_vec(),
            height: decided.certificate.height,
            round: decided.certificate.round,
            hash: decided.certificate.value_id,
            signatures: decided
                .certificate
                .commit_signatures
                .iter()
                .map(|commit| (commit.address, commit.signature))
                .collect(),
        });
        Self { start: response.start_height, values: values.collect() }
    }
}

impl From<WireResponse> for ValueResponse<Grid> {
    fn from(wire: WireResponse) -> Self {
        let values = wire.values.into_iter().map(|decided| {
            let certificate = ExtendedCommitCertificate {
                height: decided.height,
                round: decided.round,
                value_id: decided.hash,
                commit_signatures: decided
                    .signatures
                    .into_iter()
                    .map(|(address, signature)| {
                        ExtendedCommitSignature::new(address, signature, None)
                    })
                    .collect(),
            };
            RawDecidedValue::new(decided.value.into(), certificate)
        });
        Self::new(wire.start, values.collect())
    }
}

impl Codec<Response<Grid>> for Borsh {
    type Error = io::Error;

    fn decode(&self, bytes: Bytes) -> io::Result<Response<Grid>> {
        borsh::from_slice::<WireResponse>(&bytes).map(|wire| Response::ValueResponse(wire.into()))
    }

    fn encode(&self, response: &Response<Grid>) -> io::Result<Bytes> {
        let Response::ValueResponse(response) = response;
        borsh::to_vec(&WireResponse::from(response)).map(Bytes::from)
    }
}

impl HasEncodedLen<Response<Grid>> for Borsh {
    fn encoded_len(&self, response: &Response<Grid>) -> io::Result<usize> {
        let Response::ValueResponse(response) = response;
        borsh::object_length(&WireResponse::from(response))
    }
}

#[cfg(test)]
mod tests;
