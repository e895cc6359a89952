//! What fuzzing calls: the parsers of bytes from other validators, on any bytes. Nothing else uses it.

use std::path::Path;

use alloy_primitives::B256;
use arc_malachitebft_app_channel::app::types::{
    PeerId, ProposedValue, SignedConsensusMsg,
    codec::{Codec, HasEncodedLen},
    streaming::{StreamId, StreamMessage},
};
use arc_malachitebft_core_consensus::LivenessMsg;
use arc_malachitebft_core_types::{
    NilOrVal, PolkaCertificate, Round, SignedMessage, ValidatorProof, VoteType,
};
use arc_malachitebft_engine::util::streaming::StreamContent;
use arc_malachitebft_sync::{
    RawDecidedValue, Request, Response, Status, ValueRequest, ValueResponse,
};
use borsh::io;
use bytes::Bytes;
use grid_core::grid::{CommitCertificate, Validator, ValidatorSet};
use k256::ecdsa::SigningKey;

use crate::{
    certificate,
    chain::MAX_BODY,
    codec::Borsh,
    context::{BlockHash, Grid, Height, Part, Vote},
    guard::Guard,
    parts::{Assembler, BODIES_PER_SENDER, Proposed, split},
    sign::{Keyring, Recovery},
    sync,
};

const CHAIN_ID: u64 = 7;

/// Bytes as each message that comes over the network or out of the engine's log: taken in one spelling only.
pub fn messages(data: &[u8]) {
    one_spelling::<Part>(data);
    one_spelling::<StreamMessage<Part>>(data);
    one_spelling::<SignedConsensusMsg<Grid>>(data);
    one_spelling::<LivenessMsg<Grid>>(data);
    one_spelling::<ProposedValue<Grid>>(data);
    one_spelling::<PolkaCertificate<Grid>>(data);
    one_spelling::<ValidatorProof<Grid>>(data);
    one_spelling::<Status<Grid>>(data);
    one_spelling::<Request<Grid>>(data);
    one_spelling::<Response<Grid>>(data);
}

fn one_spelling<T>(data: &[u8])
where
    Borsh: Codec<T, Error = io::Error>,
{
    if let Ok(message) = Borsh.decode(Bytes::copy_from_slice(data)) {
        let again = Borsh.encode(&message).expect("what was decoded can be encoded");
        assert_eq!(again, data, "another spelling was taken");
    }
}

/// Bytes as parts of blocks from a validator, who signs whatever they say: what is kept of them is bounded.
pub fn parts(data: &[u8]) {
    let keyring = keyring();
    let recovery = Recovery::new(CHAIN_ID);
    let mut assembler = Assembler::default();
    for bytes in data.chunks(256) {
        let Ok(part): io::Result<Part> = Borsh.decode(Bytes::copy_from_slice(bytes)) else {
            continue;
        };
        let height = part.height.0.saturating_sub(1);
        let by_another = recovery.sender(&part) != Some(keyring.address().0);
        let taken = assembler.add(part.clone(), recovery, &validators(), height);
        assert!(taken.is_err() || !by_another, "a stranger's part was taken");
        let signed = keyring.sign_part(part).expect("signs");
        let _kept_or_refused = assembler.add(signed, recovery, &validators(), height);
        assert!(assembler.bytes() <= BODIES_PER_SENDER * MAX_BODY);
        for (proposed, body) in assembler.take(height) {
            assert!(proposed.height.0 == height && body.len() <= MAX_BODY);
        }
    }
}

/// Bytes as decided blocks from a peer: what Grid takes for a certificate verifies by grid-core.
pub fn certificates(data: &[u8]) {
    if let Ok(response) = Borsh.decode(Bytes::copy_from_slice(data)) {
        let response: Response<Grid> = response;
        let length = Borsh.encoded_len(&response).expect("has a length");
        assert_eq!(length, data.len());
        let Response::ValueResponse(response) = response;
        for decided in response.values {
            drop(sync::unpack(&decided.value_bytes.clone().into()));
            let plain = decided.certificate.trim_vote_extensions();
            if let Ok(taken) = certificate::from_engine(&plain, CHAIN_ID, &validators()) {
                assert!(taken.verify(CHAIN_ID, &validators()).is_ok());
                assert_eq!(certificate::to_engine(&taken, CHAIN_ID).value_id, plain.value_id);
            }
        }
    }
}

/// Good inputs of all three.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let (keyring, hash, height) = (keyring(), BlockHash(B256::repeat_byte(5)), Height(3));
    let proposer = keyring.address();
    let round = Round::new(0);
    let proposed = Proposed { height, round, pol_round: Round::Nil, proposer, value: hash };
    let parts = split(&keyring, proposed, b"a body").expect("signs");
    let stream = |part: &Part| {
        let content = StreamContent::Data(part.clone());
        StreamMessage::new(StreamId::new(vec![1, 2].into()), 0, content)
    };
    let kind = VoteType::Precommit;
    let vote = Vote { kind, height, round, value: NilOrVal::Val(hash), validator: proposer };
    let digest = vote.digest(CHAIN_ID).expect("has a round");
    let signature = keyring.sign(digest).expect("signs");
    let signed = SignedMessage::new(vote, signature);
    let certificate = CommitCertificate {
        height: 3,
        round: 0,
        block_hash: hash.0,
        signatures: vec![signature.0],
    };
    let certificate = certificate::to_engine(&certificate, CHAIN_ID);
    let value = [hash.0.as_slice(), b"a body"].concat();
    let decided = RawDecidedValue::new(value.into(), certificate);
    let response = Response::ValueResponse(ValueResponse::new(height, vec![decided]));
    let peer = PeerId::from_bytes(&[0, 1, 1]).expect("an identity multihash");
    let status = Status { peer_id: peer, tip_height: height, history_min_height: Height(1) };
    let request = Request::ValueRequest(ValueRequest::new(Height(1)..=height));
    let call = keyring.sign_part(Part::call(height, proposer)).expect("signs");
    let proof = ValidatorProof::new(vec![1; 20], peer.to_bytes(), signature);
    vec![
        encoded(&parts[0]),
        encoded(&stream(&parts[0])),
        encoded(&call),
        encoded(&SignedConsensusMsg::<Grid>::Vote(signed.clone())),
        encoded(&LivenessMsg::<Grid>::Vote(signed)),
        encoded::<ValidatorProof<Grid>>(&proof),
        encoded(&status),
        encoded(&request),
        encoded(&response),
    ]
}

fn encoded<T>(message: &T) -> Vec<u8>
where
    Borsh: Codec<T, Error = io::Error>,
{
    Borsh.encode(message).expect("encodes").into()
}

fn keyring() -> Keyring {
    // The guard is asked for votes and proposals by the engine only, so the file is never made.
    let guard = Guard::open(Path::new("/nonexistent/votes")).expect("no file");
    Keyring::new(CHAIN_ID, SigningKey::from_slice(&[1; 32]).expect("a valid scalar"), guard)
}

fn validators() -> ValidatorSet {
    let account = keyring().address().0;
    ValidatorSet::new(vec![Validator { account, power: 1 }]).expect("a good set")
}
