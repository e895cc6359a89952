#![allow(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use std::collections::BTreeMap;

use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, proof::verify_proof};
use proptest::prelude::*;

use super::*;

fn trie(count: u8, value_length: usize) -> BTreeMap<B256, Vec<u8>> {
    (0..count).map(|i| (keccak256([i]), vec![i.max(1); value_length])).collect()
}

/// What `alloy-trie` says about the same proof.
fn oracle(root: B256, key: &[u8], value: Option<Vec<u8>>, nodes: &[Bytes]) -> bool {
    verify_proof(root, Nibbles::unpack(key), value, nodes).is_ok()
}

#[test]
fn present_and_absent_keys_prove_as_alloy_trie_says() {
    for count in [1u8, 2, 3, 17, 60] {
        let entries = trie(count, 40);
        for i in 0..count.saturating_add(40) {
            let key = keccak256([i]);
            let (root, nodes) = prove_hashed(&entries, &key);
            let found = lookup(root, key.as_slice(), &nodes).unwrap().map(<[u8]>::to_vec);
            assert_eq!(found.as_ref(), entries.get(&key), "key {i} of {count}");
            assert!(oracle(root, key.as_slice(), found, &nodes));
        }
    }
}

#[test]
fn every_item_of_a_list_proves() {
    for count in [1usize, 2, 127, 128, 129, 300] {
        let values: Vec<Vec<u8>> =
            (0..count).map(|i| vec![(i % 251) as u8 + 1; i % 90 + 1]).collect();
        let root = ordered_trie_root(&values);
        for index in (0..count).step_by(count.div_ceil(40)).chain([count - 1]) {
            let nodes = prove_ordered(&values, index as u64).unwrap();
            assert_eq!(verify_transaction(root, index as u64, &nodes), Ok(&*values[index]));
        }
        let missing = MptError::NoItem { index: count as u64, count };
        assert_eq!(prove_ordered(&values, count as u64), Err(missing));
    }
}

#[test]
fn the_empty_trie_has_no_nodes() {
    let key = keccak256([1]);
    assert_eq!(lookup(EMPTY_ROOT_HASH, key.as_slice(), &[]), Ok(None));
    let expected = B256::repeat_byte(1);
    let error = MptError::Root { found: EMPTY_ROOT_HASH, expected };
    assert_eq!(lookup(expected, key.as_slice(), &[]), Err(error));
    let spelled = vec![Bytes::from_static(&[0x80])];
    assert!(lookup(EMPTY_ROOT_HASH, key.as_slice(), &spelled).is_err());
    assert_eq!(normalize(spelled), Vec::<Bytes>::new());
}

/// Older verifiers took a proof cut short for a proof of absence.
#[test]
fn a_truncated_proof_shows_nothing() {
    let entries = trie(60, 40);
    for key in [keccak256([7]), keccak256([200])] {
        let (root, nodes) = prove_hashed(&entries, &key);
        assert!(nodes.len() > 1);
        for length in 1..nodes.len() {
            let cut = lookup(root, key.as_slice(), &nodes[..length]);
            assert_eq!(cut, Err(MptError::Truncated(length)));
        }
    }
}

#[test]
fn unused_nodes_are_refused_even_beyond_a_divergence() {
    let entries = trie(60, 40);
    let key = keccak256([7]);
    let (root, mut nodes) = prove_hashed(&entries, &key);
    nodes.push(nodes[0].clone());
    let error = MptError::Unused { used: nodes.len() - 1, found: nodes.len() };
    assert_eq!(lookup(root, key.as_slice(), &nodes), Err(error));

    // Two keys that share a beginning: an extension, then a branch. A key that leaves the extension
    // is absent by the extension alone; alloy-trie accepts the branch as well.
    let mut near = [B256::repeat_byte(0x11), B256::repeat_byte(0x11)];
    near[1].0[31] = 0x12;
    let entries: BTreeMap<B256, Vec<u8>> = near.iter().map(|key| (*key, vec![1; 40])).collect();
    let (root, nodes) = prove_hashed(&entries, &near[0]);
    let stranger = B256::repeat_byte(0x22);
    assert_eq!(lookup(root, stranger.as_slice(), &nodes[..1]), Ok(None));
    assert!(oracle(root, stranger.as_slice(), None, &nodes), "known weakness of alloy-trie");
    assert!(matches!(
        lookup(root, stranger.as_slice(), &nodes),
        Err(MptError::Unused { used: 1, .. })
    ));
}

#[test]
fn paths_longer_than_a_key_are_absence_not_a_panic() {
    // A forged trie: an extension of 62 nibbles that leads to another one of 62. alloy-trie's
    // verifier asserts here.
    let extension = |child: &[u8]| {
        let key = [&[0x00][..], &[0x11; 31]].concat();
        let mut out = Vec::new();
        let payload =
            alloy_rlp::Encodable::length(&key.as_slice()) + alloy_rlp::Encodable::length(&child);
        alloy_rlp::Header { list: true, payload_length: payload }.encode(&mut out);
        alloy_rlp::Encodable::encode(&key.as_slice(), &mut out);
        alloy_rlp::Encodable::encode(&child, &mut out);
        Bytes::from(out)
    };
    let second = extension(keccak256([9]).as_slice());
    let first = extension(keccak256(&second).as_slice());
    let root = keccak256(&first);
    let key = B256::repeat_byte(0x11);
    let nodes = [first, second];
    assert_eq!(lookup(root, key.as_slice(), &nodes), Ok(None));
    let theirs = std::panic::catch_unwind(|| oracle(root, key.as_slice(), None, &nodes));
    assert!(theirs.is_err(), "known weakness of alloy-trie");
}

#[test]
fn sizes_are_capped_before_hashing() {
    let key = [1u8; 32];
    let many = vec![Bytes::from_static(&[1]); MAX_NODES + 1];
    assert_eq!(
        lookup(B256::ZERO, &key, &many),
        Err(MptError::TooManyNodes { found: 65, allowed: MAX_NODES })
    );
    let long = Bytes::from(vec![0; MAX_NODE_BYTES + 1]);
    let error = MptError::NodeTooLong { index: 1, length: MAX_NODE_BYTES + 1 };
    assert_eq!(lookup(B256::ZERO, &key, &[Bytes::new(), long]), Err(error));
    let total = vec![Bytes::from(vec![0; MAX_NODE_BYTES]); 64];
    assert!(matches!(lookup(B256::ZERO, &key, &total), Err(MptError::Root { .. })));
    assert_eq!(lookup(B256::ZERO, &[1; 33], &[]), Err(MptError::Key(33)));
}

#[test]
fn receipts_of_unknown_types_are_opaque_but_proven() {
    let values = vec![vec![0x7e, 1, 2, 3], vec![0x05; 50]];
    let root = ordered_trie_root(&values);
    let nodes = prove_ordered(&values, 0).unwrap();
    let outcome = Outcome::Unknown { tx_type: 0x7e };
    assert_eq!(verify_receipt(root, 0, &nodes, None), Ok((outcome, None)));
    let unknown = MptError::Receipt(ReceiptError::UnknownType(0x7e));
    assert_eq!(verify_receipt(root, 0, &nodes, Some(0)), Err(unknown));
    assert_eq!(verify_transaction(root, 0, &nodes), Ok(&*values[0]));
}

#[test]
fn storage_values_are_canonical() {
    let slot = B256::with_last_byte(1);
    let with = |value: &[u8]| {
        let entries = BTreeMap::from([(keccak256(slot), value.to_vec())]);
        let (root, nodes) = prove_hashed(&entries, &keccak256(slot));
        verify_storage(root, slot, &nodes)
    };
    assert_eq!(with(&[0x07]), Ok(U256::from(7)));
    for bad in [&[0x80][..], &[0x00], &[0x81, 0x07], &[0x07, 0x07], &[0xc0]] {
        assert!(matches!(with(bad), Err(MptError::Value { .. })), "{bad:?}");
    }
    let (root, nodes) = prove_hashed(&trie(9, 33), &keccak256(slot));
    assert_eq!(verify_storage(root, slot, &nodes), Ok(U256::ZERO));
    assert!(matches!(
        verify_account(root, Address::ZERO, &nodes),
        Err(MptError::Truncated(_) | MptError::Unused { .. } | MptError::Link { .. }) | Ok(None)
    ));
}

proptest! {
    #[test]
    fn random_tries_agree_with_alloy_trie(
        keys in prop::collection::btree_map(any::<[u8; 32]>(), prop::collection::vec(1u8.., 1..60), 0..40),
        present: prop::sample::Index,
        absent: [u8; 32],
        flip in any::<(prop::sample::Index, prop::sample::Index, u8)>(),
    ) {
        let entries: BTreeMap<B256, Vec<u8>> = keys.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let mut wanted = vec![B256::new(absent)];
        if !entries.is_empty() {
            wanted.extend(entries.keys().nth(present.index(entries.len())));
        }
        for key in wanted {
            let (root, nodes) = prove_hashed(&entries, &key);
            let found = lookup(root, key.as_slice(), &nodes).map(|value| value.map(<[u8]>::to_vec));
            prop_assert_eq!(found.clone(), Ok(entries.get(&key).cloned()));
            prop_assert!(oracle(root, key.as_slice(), found.unwrap_or_default(), &nodes));
            if !nodes.is_empty() && flip.2 != 0 {
                let mut bad = nodes.clone();
                let node = &mut bad[flip.0.index(nodes.len())];
                let mut bytes = node.to_vec();
                let at = flip.1.index(bytes.len());
                bytes[at] ^= flip.2;
                *node = bytes.into();
                prop_assert!(lookup(root, key.as_slice(), &bad).is_err());
            }
        }
    }

    #[test]
    fn several_keys_share_their_nodes_in_one_order(
        keys in prop::collection::btree_map(any::<[u8; 32]>(), prop::collection::vec(1u8.., 1..60), 1..40),
        present in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        absent in prop::collection::btree_set(any::<[u8; 32]>(), 0..8),
        damage: prop::sample::Index,
    ) {
        let entries: BTreeMap<B256, Vec<u8>> = keys.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let present = present.into_iter().filter_map(|at| entries.keys().nth(at.index(entries.len())).copied());
        let wanted: std::collections::BTreeSet<B256> = present.chain(absent.into_iter().map(B256::new)).collect();
        let (mut pool, mut single, mut root) = (NodePool::default(), 0, EMPTY_ROOT_HASH);
        for key in &wanted {
            let nodes;
            (root, nodes) = prove_hashed(&entries, key);
            single += nodes.len();
            pool.extend(nodes);
        }
        let keys: Vec<&[u8]> = wanted.iter().map(B256::as_slice).collect();
        let expected: Vec<Option<&[u8]>> = wanted.iter().map(|key| entries.get(key).map(Vec::as_slice)).collect();
        let mut recorder = Recorder::new(&pool);
        prop_assert_eq!(walk(root, &keys, &mut recorder), Ok(expected.clone()));
        let nodes = recorder.into_nodes();
        prop_assert!(nodes.len() <= single);
        let read = |nodes: &[Bytes]| -> Result<(), MptError> {
            let mut list = NodeList::new(nodes)?;
            let found = walk(root, &keys, &mut list)?;
            list.finish()?;
            assert_eq!(found, expected);
            Ok(())
        };
        if !keys.is_empty() {
            prop_assert_eq!(read(&nodes), Ok(()));
            let at = damage.index(nodes.len());
            let mut bad = nodes.clone();
            bad.remove(at);
            prop_assert!(read(&bad).is_err(), "a node is missing");
            bad = nodes.clone();
            bad.insert(at, nodes[at].clone());
            prop_assert!(read(&bad).is_err(), "a node is there twice");
            if at > 0 {
                bad = nodes;
                bad.swap(at - 1, at);
                prop_assert!(read(&bad).is_err(), "nodes are swapped");
            }
        }
    }

    #[test]
    fn arbitrary_nodes_never_panic(
        key in prop::collection::vec(any::<u8>(), 0..34),
        nodes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4),
    ) {
        let nodes: Vec<Bytes> = nodes.into_iter().map(Bytes::from).collect();
        // Hash links that hold, so that decoding is reached.
        let root = nodes.first().map_or(EMPTY_ROOT_HASH, keccak256);
        let _either = lookup(root, &key, &nodes);
        let mut list = NodeList::new(&nodes).unwrap();
        let _either = walk(root, &[&[], &key], &mut list);
    }
}
