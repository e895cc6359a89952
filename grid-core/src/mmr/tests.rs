#![allow(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use proptest::prelude::*;

use super::*;

fn leaves(count: u64) -> Vec<B256> {
    (0..count).map(|i| hash::leaf(&i.to_be_bytes())).collect()
}

/// The definition, written down directly: perfect trees by recursion, then the bag.
fn naive_root(leaves: &[B256]) -> B256 {
    fn perfect(leaves: &[B256]) -> B256 {
        if let [leaf] = leaves {
            return *leaf;
        }
        let (left, right) = leaves.split_at(leaves.len() / 2);
        hash::node(&perfect(left), &perfect(right))
    }
    if leaves.is_empty() {
        return B256::ZERO;
    }
    let largest = 1 << leaves.len().ilog2();
    let (mountain, rest) = leaves.split_at(largest);
    let peak = perfect(mountain);
    if rest.is_empty() { peak } else { hash::node(&peak, &naive_root(rest)) }
}

fn grow(leaves: &[B256]) -> (Mmr, Vec<B256>) {
    let (mut range, mut store) = (Mmr::new(), Vec::new());
    for leaf in leaves {
        for (position, node) in append_with_nodes(&mut range, *leaf) {
            assert_eq!(position, store.len() as u64, "positions are contiguous");
            store.push(node);
        }
        assert_eq!(store.len() as u64, size(range.count()));
    }
    (range, store)
}

#[test]
fn every_leaf_of_every_small_range_proves() {
    let all = leaves(70);
    let (_, store) = grow(&all);
    for count in 0..=70u64 {
        let (range, _) = grow(&all[..count as usize]);
        assert_eq!(range.root(), naive_root(&all[..count as usize]), "{count} leaves");
        assert_eq!(cut_back(&store, count).unwrap(), range, "cut back to {count}");
        assert_eq!(Mmr::decode(&range.encode()).unwrap(), range);
        for index in 0..count {
            let proof = prove(&store, count, index).unwrap();
            assert_eq!(
                proof.root(all[index as usize]),
                Ok(range.root()),
                "leaf {index} of {count}"
            );
        }
        assert_eq!(prove(&store, count, count), Err(MmrError::Index { index: count, count }));
    }
}

#[test]
fn a_range_cut_back_and_regrown_equals_a_range_that_never_knew_the_lost_branch() {
    let all = leaves(40);
    let (_, mut store) = grow(&all);
    let mut range = cut_back(&store, 25).unwrap();
    store.truncate(size(25) as usize);
    let other: Vec<B256> = (0..30u64).map(|i| hash::leaf(&[i as u8; 3])).collect();
    for leaf in &other {
        store.extend(append_with_nodes(&mut range, *leaf).into_iter().map(|(_, node)| node));
    }
    let straight: Vec<B256> = all[..25].iter().chain(&other).copied().collect();
    assert_eq!(range.root(), naive_root(&straight));
    assert_eq!(store, grow(&straight).1);
}

#[test]
fn shapes_are_exact() {
    let all = leaves(11);
    let (range, store) = grow(&all);
    let good = prove(&store, 11, 4).unwrap();
    assert_eq!((good.siblings.len(), good.peaks.len()), (3, 2));
    let extra = |list: &[B256]| [list, &[B256::ZERO]].concat();
    let bad = [
        MmrProof { leaf_index: 11, ..good.clone() },
        MmrProof { count: 4, ..good.clone() },
        MmrProof { count: 10, ..good.clone() },
        MmrProof { siblings: extra(&good.siblings), ..good.clone() },
        MmrProof { siblings: vec![], ..good.clone() },
        MmrProof { peaks: extra(&good.peaks), ..good.clone() },
        MmrProof { peaks: vec![], ..good.clone() },
        MmrProof { leaf_index: 0, count: 0, siblings: vec![], peaks: vec![] },
    ];
    for proof in bad {
        assert!(proof.root(all[4]).is_err(), "{proof:?}");
    }
    assert_eq!(good.root(all[4]), Ok(range.root()));
    assert_ne!(good.root(all[5]), Ok(range.root()));
}

#[test]
fn malformed_stored_ranges_and_holes_are_errors() {
    let (range, store) = grow(&leaves(6));
    let bytes = range.encode();
    for cut in [0, 7, 8, 9, bytes.len() - 1] {
        assert!(Mmr::decode(&bytes[..cut]).is_err(), "{cut} bytes");
    }
    assert!(Mmr::decode(&[&bytes[..], &[0; 32]].concat()).is_err());
    assert_eq!(Mmr::decode(&u64::MAX.to_be_bytes()), Err(MmrError::TooLarge(u64::MAX)));
    let truncated = store[..5].to_vec();
    assert!(matches!(prove(&truncated, 6, 1), Err(MmrError::MissingNode { .. })));
    assert!(matches!(prove(&truncated, u64::MAX, 1), Err(MmrError::TooLarge(_))));
}

proptest! {
    #[test]
    fn proofs_hold_and_nothing_else_does(
        count in 1u64..64,
        pick in any::<prop::sample::Index>(),
        other in any::<u64>(),
        bit in 0usize..256,
    ) {
        let all = leaves(count);
        let (range, store) = grow(&all);
        let index = pick.index(count as usize);
        let leaf = all[index];
        let proof = prove(&store, count, index as u64).unwrap();
        prop_assert_eq!(proof.root(leaf), Ok(naive_root(&all)));
        prop_assert_eq!(proof.root(leaf), Ok(range.root()));

        let moved = other % (count + 2);
        let reaches = MmrProof { leaf_index: moved, ..proof.clone() }.root(leaf) == Ok(range.root());
        prop_assert_eq!(reaches, moved == index as u64);
        let hashes = proof.siblings.len() + proof.peaks.len();
        for at in 0..hashes {
            let mut bad = proof.clone();
            let hash = match at.checked_sub(bad.siblings.len()) {
                None => &mut bad.siblings[at],
                Some(at) => &mut bad.peaks[at],
            };
            hash.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(bad.root(leaf), Ok(range.root()));
        }
    }

    #[test]
    fn arbitrary_proofs_never_panic(
        leaf_index: u64,
        count: u64,
        siblings in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        peaks in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let proof = MmrProof {
            leaf_index,
            count,
            siblings: siblings.into_iter().map(B256::new).collect(),
            peaks: peaks.into_iter().map(B256::new).collect(),
        };
        let _either = proof.root(B256::ZERO);
        let _bytes = Mmr::decode(&count.to_le_bytes());
    }
}
