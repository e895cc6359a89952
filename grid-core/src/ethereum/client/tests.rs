//! The attested client over signed headers.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use k256::ecdsa::SigningKey;

use super::{AttestedClient, DEFAULT_MAX_BEHIND};
use crate::{
    ChainId, ChainKey,
    ethereum::{
        AttestError, AttesterSet,
        attest::{MAX_ATTESTERS, digest},
        header::RunError,
    },
    grid::RecoverableSignature,
    header_tree::TipChange,
    light_client::{Accepted, ClientError},
};

const NOW_MS: u64 = 1_700_000_000_000;

fn chain() -> ChainKey {
    ChainId::eip155(31337).key()
}

/// Keys in the order of their addresses.
fn keys(count: u8) -> Vec<SigningKey> {
    let key = |seed: u8| SigningKey::from_slice(&[seed; 32]).expect("a valid scalar");
    let mut keys: Vec<SigningKey> = (1..=count).map(key).collect();
    keys.sort_by_key(Address::from_private_key);
    keys
}

fn set(keys: &[SigningKey], threshold: u32) -> AttesterSet {
    AttesterSet::new(threshold, keys.iter().map(Address::from_private_key).collect())
        .expect("keys are sorted")
}

fn sign(keys: &[&SigningKey], digest: &B256) -> Vec<RecoverableSignature> {
    keys.iter()
        .map(|key| {
            let signed = key.sign_prehash_recoverable(digest.as_slice()).expect("signs");
            alloy_primitives::Signature::from(signed).into()
        })
        .collect()
}

fn rlp(header: &Header) -> Bytes {
    alloy_rlp::encode(header).into()
}

/// `count` headers on top of a parent; `salt` keeps branches apart.
fn run(parent: &Header, count: u64, salt: u64) -> Vec<Header> {
    let mut at = parent.clone();
    (0..count)
        .map(|_| {
            at = Header {
                parent_hash: at.hash_slow(),
                number: at.number + 1,
                timestamp: at.timestamp + 1,
                mix_hash: B256::from(U256::from(salt)),
                ..Header::default()
            };
            at.clone()
        })
        .collect()
}

struct Fixture {
    keys: Vec<SigningKey>,
    start: Header,
    client: AttestedClient,
}

impl Fixture {
    fn new(count: u8, threshold: u32) -> Self {
        let keys = keys(count);
        let start = Header { number: 0, timestamp: 1_000, ..Header::default() };
        let client = AttestedClient::new(chain(), set(&keys, threshold), &rlp(&start));
        Self { keys, start, client: client.expect("a header") }
    }

    /// Submits headers, attested by the keys with these numbers.
    fn submit(&mut self, headers: &[Header], signers: &[usize]) -> Accepted {
        let last = headers.last().expect("headers");
        let digest = digest(chain(), last.number, &last.hash_slow());
        let signers: Vec<&SigningKey> = signers.iter().map(|at| &self.keys[*at]).collect();
        let headers: Vec<Bytes> = headers.iter().map(rlp).collect();
        self.client.accept(&headers, &sign(&signers, &digest), NOW_MS)
    }
}

fn reason(accepted: Accepted) -> AttestError {
    match accepted.into_result() {
        Err(ClientError::Attest(error)) => error,
        other => panic!("an attestation error, found {other:?}"),
    }
}

#[test]
fn the_digest_is_the_documented_one() {
    let hash = B256::repeat_byte(7);
    let mut bytes = b"GRID/attest/1".to_vec();
    bytes.extend(chain().0);
    bytes.extend(5u64.to_be_bytes());
    bytes.extend(hash);
    assert_eq!(digest(chain(), 5, &hash), alloy_primitives::keccak256(bytes));
}

#[test]
fn signed_runs_are_stored_and_known_headers_skipped() {
    let mut fixture = Fixture::new(3, 2);
    let headers = run(&fixture.start, 5, 1);
    let accepted = fixture.submit(&headers[..3], &[0, 2]);
    assert_eq!((accepted.added, accepted.known, accepted.change), (3, 0, TipChange::Extended));
    let accepted = fixture.submit(&headers, &[0, 1, 2]);
    assert_eq!((accepted.added, accepted.known), (2, 3));
    let tip = fixture.client.tree().tip();
    assert_eq!((tip.hash(), tip.weight()), (headers[4].hash_slow(), U256::from(5)));
    assert_eq!(tip.seen(), NOW_MS);
    let again = fixture.submit(&headers, &[]);
    assert_eq!((again.added, again.known, again.change), (0, 5, TipChange::Known));
}

#[test]
fn signatures_that_do_not_suffice_store_nothing() {
    let mut fixture = Fixture::new(3, 2);
    let headers = run(&fixture.start, 2, 1);
    let error = reason(fixture.submit(&headers, &[1]));
    assert_eq!(error, AttestError::TooFew { found: 1, threshold: 2 });
    assert_eq!(reason(fixture.submit(&headers, &[1, 1])), AttestError::Order(1));
    assert_eq!(reason(fixture.submit(&headers, &[2, 0])), AttestError::Order(1));
    let stranger = SigningKey::from_slice(&[9; 32]).expect("a valid scalar");
    fixture.keys.push(stranger);
    let error = reason(fixture.submit(&headers, &[0, 3]));
    assert!(matches!(error, AttestError::NotAnAttester { index: 1, .. }));

    let last = headers[1].hash_slow();
    let rlps: Vec<Bytes> = headers.iter().map(rlp).collect();
    let others = [
        digest(ChainId::eip155(1).key(), 2, &last),
        digest(chain(), 1, &last),
        digest(chain(), 2, &headers[0].hash_slow()),
    ];
    for digest in others {
        let signatures = sign(&[&fixture.keys[0], &fixture.keys[1]], &digest);
        let error = reason(fixture.client.accept(&rlps, &signatures, NOW_MS));
        assert!(matches!(error, AttestError::NotAnAttester { .. }), "{error}");
    }
    let malformed = vec![RecoverableSignature::from_bytes([0; 65]); 2];
    let error = reason(fixture.client.accept(&rlps, &malformed, NOW_MS));
    assert_eq!(error, AttestError::Malformed(0));
    assert_eq!(fixture.client.tree().len(), 1);
}

#[test]
fn headers_must_be_linked_down_to_a_tracked_one() {
    let mut fixture = Fixture::new(1, 1);
    let headers = run(&fixture.start, 4, 1);
    let gap = [headers[0].clone(), headers[2].clone()];
    let error = reason(fixture.submit(&gap, &[0]));
    assert_eq!(error, AttestError::Run(RunError::NotLinked { index: 1, height: 3 }));
    let error = reason(fixture.submit(&headers[2..], &[0]));
    assert!(error.is_transient() && error.to_string().contains("not tracked"), "{error}");
    let mut jump = run(&fixture.start, 2, 2);
    jump[1].number = 7;
    let error = reason(fixture.submit(&jump, &[0]));
    assert_eq!(error, AttestError::Run(RunError::NotLinked { index: 1, height: 7 }));
    let mut first = run(&fixture.start, 1, 3);
    first[0].number = 9;
    assert!(matches!(reason(fixture.submit(&first, &[0])), AttestError::Tree(_)));
    let error = reason(fixture.client.accept(&[Bytes::from_static(b"\xc0")], &[], NOW_MS));
    assert!(matches!(error, AttestError::Run(RunError::Header { index: 0, .. })));
    assert_eq!(fixture.client.tree().len(), 1);
}

#[test]
fn the_longer_branch_wins_and_old_branches_are_refused() {
    let mut fixture = Fixture::new(1, 1);
    let main = run(&fixture.start, 3, 1);
    let side = run(&fixture.start, DEFAULT_MAX_BEHIND + 10, 2);
    assert_eq!(fixture.submit(&main, &[0]).change, TipChange::Extended);
    assert_eq!(fixture.submit(&side[..3], &[0]).change, TipChange::Side);
    let accepted = fixture.submit(&side, &[0]);
    assert!(matches!(accepted.change, TipChange::Reorg(reorg) if reorg.removed.len() == 3));
    let late = run(&fixture.start, 10, 3);
    let error = reason(fixture.submit(&late[..9], &[0]));
    assert!(matches!(error, AttestError::TooFarBehind { height: 9, tip: 154, .. }), "{error}");
    assert_eq!(fixture.submit(&late, &[0]).change, TipChange::Side);
}

#[test]
fn submissions_are_bounded() {
    let mut fixture = Fixture::new(1, 1);
    let headers = run(&fixture.start, 1_025, 1);
    let error = fixture.submit(&headers, &[0]).into_result().expect_err("too many");
    assert_eq!(error, ClientError::TooMany { found: 1_025, most: 1_024 });
    assert_eq!(fixture.submit(&headers[..1_024], &[0]).added, 1_024);
    let error = fixture.client.accept(&[], &[], NOW_MS).into_result();
    assert_eq!(error, Err(ClientError::Empty));
}

#[test]
fn attester_sets_are_checked_also_when_read() {
    let addresses: Vec<Address> = keys(3).iter().map(Address::from_private_key).collect();
    let mut unsorted = addresses.clone();
    unsorted.swap(0, 1);
    assert!(matches!(AttesterSet::new(1, unsorted), Err(AttestError::SetOrder(_))));
    assert_eq!(AttesterSet::new(1, vec![]), Err(AttestError::SetSize(0)));
    for threshold in [0, 4] {
        let error = AttesterSet::new(threshold, addresses.clone());
        assert_eq!(error, Err(AttestError::Threshold { threshold, attesters: 3 }));
    }
    let set = AttesterSet::new(2, addresses).expect("good");
    let json = serde_json::to_string(&set).expect("serialises");
    assert_eq!(serde_json::from_str::<AttesterSet>(&json).ok(), Some(set));
    let none = json.replace("\"threshold\":2", "\"threshold\":0");
    assert!(serde_json::from_str::<AttesterSet>(&none).is_err());
    let many = MAX_ATTESTERS + 1;
    let addresses = (0..many).map(|at| Address::left_padding_from(&at.to_be_bytes())).collect();
    assert_eq!(AttesterSet::new(1, addresses), Err(AttestError::SetSize(many)));
}

#[test]
fn a_stored_client_reads_back() {
    let mut fixture = Fixture::new(1, 1);
    let headers = run(&fixture.start, 130, 1);
    assert_eq!(fixture.submit(&headers, &[0]).added, 130);
    fixture.client.tree_mut().prune(64);
    let chunks = fixture.client.tree_mut().dirty_chunks();
    let chunks = chunks.into_iter().filter_map(|(number, bytes)| Some((number, bytes?)));
    let meta = fixture.client.tree().meta();
    let attesters = fixture.client.attesters().clone();
    let again = AttestedClient::load(chain(), attesters, &meta, chunks).expect("readable");
    assert_eq!(again.tree().tip(), fixture.client.tree().tip());
    assert_eq!((again.tree().base().height(), again.tree().len()), (64, 67));
}
