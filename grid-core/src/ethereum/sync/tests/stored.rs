//! What survives a restart.

use super::*;

fn decode(bytes: &[u8]) -> Result<SyncClient, DecodeError> {
    SyncClient::decode(network(), Policy::default(), bytes)
}

#[test]
fn a_client_survives_its_storage() {
    let mut fresh = start(Policy::default(), 10).expect("bootstrap");
    for update in [FIRST, Plan { attested: 46, finalized: 32, next: None, ..FIRST }].map(update) {
        fresh.process(update, 50).expect("valid");
        let bytes = fresh.encode();
        let mut read = decode(&bytes).expect("its own bytes");
        assert_eq!((read.encode(), read.store()), (bytes, fresh.store()));
        assert_eq!(read.finalized(), fresh.finalized());
        assert_eq!(read.verify_stored(), Ok(()));
        assert_eq!(read.check_age(40), Ok(()));
    }
}

#[test]
fn a_frozen_client_stays_frozen() {
    let mut client = client(Policy::default());
    let other = update(Plan { attested: 31, tag: 8, next: None, ..FIRST });
    let error = client.process(other, 40).expect_err("a conflict");
    let read = decode(&client.encode()).expect("its own bytes");
    assert_eq!(read.finalized(), Err(error));
    assert_eq!(read.conflict(), client.conflict());
}

#[test]
fn a_changed_store_is_noticed() {
    let client = client(Policy::default());
    let bytes = client.encode();
    for wrong in [&bytes[1..], &bytes[..bytes.len() - 1], &[bytes.as_slice(), &[0]].concat(), &[]] {
        assert!(decode(wrong).is_err());
    }
    // The exported header's slot, right after the version.
    let mut exported = bytes.clone();
    exported[1] ^= 1;
    let refused = decode(&exported).expect("well formed").verify_stored();
    assert!(matches!(refused, Err(SyncError::Stored(_))), "{refused:?}");
    // The first remembered proof, right after the fixed fields: its attested slot.
    let at = 1 + ssz::GLOAS_HEADER + 5 * 4;
    let mut proof = bytes.clone();
    proof[at] ^= 1;
    let refused = decode(&proof).expect("well formed").verify_stored();
    assert!(matches!(refused, Err(SyncError::Signature { .. })), "{refused:?}");
    // A key of the current committee.
    let at = bytes.len() - client.store().encode(&network()).len() + 19 + 2 * ssz::GLOAS_HEADER;
    let mut key = bytes;
    key[at] ^= 0x20;
    let refused = decode(&key).expect("well formed").verify_stored();
    assert!(matches!(refused, Err(SyncError::Signature { .. } | SyncError::PublicKey(_))));
}

#[test]
fn keys_are_handed_on() {
    let keys = client(Policy::default()).into_keys();
    let bytes = client(Policy::default()).encode();
    let mut read = decode(&bytes).expect("its own bytes").with_keys(keys);
    let next = update(Plan { attested: 40, finalized: 24, next: None, ..FIRST });
    assert!(read.process(next, 50).expect("valid").finalized);
}
