use std::fmt::Debug;

use arc_malachitebft_app_channel::app::types::{
    PeerId,
    streaming::{StreamId, StreamMessage},
};
use arc_malachitebft_core_types::{
    NilOrVal, PolkaSignature, RoundCertificate, RoundCertificateType, RoundSignature,
    SignedMessage, Validity, VoteType,
};
use arc_malachitebft_engine::util::streaming::StreamContent;
use arc_malachitebft_sync::ValueRequest;
use grid_core::grid::RecoverableSignature;

use super::*;
use crate::context::{Proposal, Vote};

fn address(byte: u8) -> Address {
    Address([byte; 20].into())
}

fn hash(byte: u8) -> BlockHash {
    BlockHash([byte; 32].into())
}

fn signature(byte: u8) -> Signature {
    Signature(RecoverableSignature::from_bytes([byte; 65]))
}

fn vote(value: NilOrVal<BlockHash>) -> SignedMessage<Grid, Vote> {
    let vote = Vote {
        kind: VoteType::Precommit,
        height: Height(9),
        round: Round::new(2),
        value,
        validator: address(3),
    };
    SignedMessage::new(vote, signature(4))
}

/// What is encoded decodes to itself; every shorter text, and a longer one, is refused.
fn survives<T: Debug + PartialEq>(message: &T)
where
    Borsh: Codec<T>,
{
    let bytes = Borsh.encode(message).expect("encodes");
    assert_eq!(&Borsh.decode(bytes.clone()).expect("decodes"), message);
    for end in 0..bytes.len() {
        assert!(Borsh.decode(bytes.slice(..end)).is_err(), "{message:?} cut at {end}");
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert!(Borsh.decode(longer.into()).is_err(), "{message:?} with a byte more");
}

#[test]
fn consensus_messages_survive() {
    let proposal = Proposal {
        height: Height(1),
        round: Round::new(0),
        value: hash(1),
        pol_round: Round::Nil,
        proposer: address(2),
    };
    survives(&SignedConsensusMsg::Proposal(SignedMessage::new(proposal, signature(1))));
    survives(&SignedConsensusMsg::Vote(vote(NilOrVal::Nil)));
    survives(&LivenessMsg::Vote(vote(NilOrVal::Val(hash(7)))));
    let polka = PolkaCertificate {
        height: Height(u64::MAX),
        round: Round::new(u32::MAX),
        value_id: hash(8),
        polka_signatures: vec![PolkaSignature { address: address(1), signature: signature(9) }],
    };
    survives(&polka);
    survives(&LivenessMsg::PolkaCertificate(polka));
    survives(&LivenessMsg::SkipRoundCertificate(RoundCertificate {
        height: Height(3),
        round: Round::new(1),
        cert_type: RoundCertificateType::Skip,
        round_signatures: vec![RoundSignature {
            vote_type: VoteType::Prevote,
            value_id: NilOrVal::Nil,
            address: address(1),
            signature: signature(2),
        }],
    }));
    survives(&ProposedValue::<Grid> {
        height: Height(3),
        round: Round::new(1),
        valid_round: Round::new(0),
        proposer: address(1),
        value: hash(2),
        validity: Validity::Invalid,
    });
}

#[test]
fn network_messages_survive() {
    let part = Part {
        height: Height(3),
        round: Round::new(1),
        pol_round: Round::Nil,
        proposer: address(1),
        value: hash(2),
        length: 3,
        index: 0,
        data: vec![1, 2, 3],
        signature: signature(5),
    };
    survives(&part);
    let id = StreamId::new(Bytes::from_static(b"stream"));
    survives(&StreamMessage::new(id.clone(), 0, StreamContent::Data(part)));
    survives(&StreamMessage::<Part>::new(id, 1, StreamContent::Fin));
    survives(&ValidatorProof::<Grid>::new(vec![1; 20], vec![2; 38], signature(3)));
    survives(&Status::<Grid> {
        peer_id: peer(),
        tip_height: Height(5),
        history_min_height: Height(1),
    });
    survives(&Request::<Grid>::ValueRequest(ValueRequest::new(Height(1)..=Height(5))));
    let certificate = ExtendedCommitCertificate::<Grid> {
        height: Height(4),
        round: Round::new(0),
        value_id: hash(4),
        commit_signatures: vec![ExtendedCommitSignature::new(address(1), signature(1), None)],
    };
    let decided = RawDecidedValue::new(Bytes::from_static(b"body"), certificate);
    let response = Response::ValueResponse(ValueResponse::new(Height(4), vec![decided]));
    survives(&response);
    let length = Borsh.encoded_len(&response).expect("a length");
    assert_eq!(length, Borsh.encode(&response).expect("encodes").len());
}

/// The identity form of an ed25519 key.
fn peer() -> PeerId {
    let bytes = [[0x00, 0x24, 0x08, 0x01, 0x12, 0x20].as_slice(), &[7; 32]].concat();
    PeerId::from_bytes(&bytes).expect("a peer id")
}
