//! The tree against a naive model, and its stored form against every kind of damage.

use alloy_primitives::{B256, U256};
use proptest::{prelude::*, sample::Index};

use super::{
    ChunkError, HeaderRef, HeaderTree, RawHeader, Reorg, TipChange, TrackedHeader, TreeError,
    TreeKind, TreeMeta,
};
use crate::{ChainId, ChainKey, CompatHeader, hash};
use std::collections::BTreeMap;

fn chain() -> ChainKey {
    ChainId::eip155(31337).key()
}

/// A header whose hash is made of its number; `salt` keeps siblings apart.
fn header(parent: B256, height: u64, weight: u64, salt: u64) -> TrackedHeader {
    let time = 1_000 + height * 10 + salt % 7;
    TrackedHeader {
        header: CompatHeader {
            chain: chain().0,
            height,
            blockHash: hash::leaf(&salt.to_be_bytes()),
            parentHash: parent,
            time,
            txRoot: B256::repeat_byte(1),
            receiptsRoot: B256::repeat_byte(2),
            stateRoot: B256::repeat_byte(3),
            indexRoot: B256::ZERO,
        },
        weight: U256::from(weight),
        seen: salt.wrapping_mul(3),
        raw: RawHeader::Ethereum,
    }
}

fn base(height: u64) -> TrackedHeader {
    header(B256::repeat_byte(0xee), height, height, u64::MAX / 3)
}

/// A child of `parent` with `more` weight than it.
fn child(tree: &HeaderTree, parent: &B256, more: u64, salt: u64) -> TrackedHeader {
    let parent = tree.get(parent).expect("parent is in the tree");
    let weight = parent.weight().to::<u64>() + more;
    header(parent.hash(), parent.height() + 1, weight, salt)
}

/// What was inserted, from what the tree shows.
fn owned(found: HeaderRef<'_>) -> TrackedHeader {
    let (header, weight) = (found.compat(), found.weight());
    TrackedHeader { header, weight, seen: found.seen(), raw: RawHeader::Ethereum }
}

fn grow(tree: &mut HeaderTree, from: B256, count: u64, salt: u64) -> Vec<B256> {
    let mut at = from;
    (0..count)
        .map(|step| {
            let next = child(tree, &at, 1, salt * 1_000 + step);
            at = next.header.blockHash;
            tree.insert(next).expect("fits its parent");
            at
        })
        .collect()
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

fn stored(tree: &HeaderTree) -> (TreeMeta, BTreeMap<u64, Vec<u8>>) {
    let chunks = tree.encode_chunks(tree.meta().chunks());
    (tree.meta(), chunks.into_iter().filter_map(|(number, bytes)| Some((number, bytes?))).collect())
}

fn load(meta: &TreeMeta, chunks: &BTreeMap<u64, Vec<u8>>) -> Result<HeaderTree, TreeError> {
    let kind = TreeKind::Ethereum { chain: chain() };
    HeaderTree::from_chunks(kind, meta, chunks.clone())
}

#[test]
fn a_new_tree_is_its_base() {
    let tree = HeaderTree::new(base(100));
    assert_eq!((tree.len(), owned(tree.tip()), owned(tree.base())), (1, base(100), base(100)));
    assert_eq!(tree.best_at(100).map(owned), Some(base(100)));
    assert!(tree.best_at(99).is_none() && tree.best_at(101).is_none());
    assert!(tree.is_best(&tree.tip().hash()));
}

#[test]
fn the_heavier_branch_wins_and_ties_keep_the_first_seen() {
    let mut tree = HeaderTree::new(base(0));
    let root = tree.tip().hash();
    let main = grow(&mut tree, root, 3, 1);
    let side = grow(&mut tree, main[0], 2, 2);
    assert_eq!(tree.tip().hash(), main[2], "equal weight: the first stays");
    let last = child(&tree, &side[1], 1, 99);
    let tip = last.header.blockHash;
    let common = (1, main[0]);
    let removed = vec![main[2], main[1]];
    let added = vec![side[0], side[1], tip];
    let reorg = Reorg { common, removed, added };
    assert_eq!(tree.insert(last), Ok(TipChange::Reorg(reorg.clone())));
    assert_eq!(tree.path(&main[2], &tip), Some(reorg));
    assert!(!tree.is_best(&main[1]) && tree.is_best(&side[0]));
    assert_eq!(tree.insert(child(&tree, &main[0], 1, 1_001)), Ok(TipChange::Known));
}

#[test]
fn a_shorter_branch_of_more_weight_shortens_the_best_branch() {
    let mut tree = HeaderTree::new(base(0));
    let root = tree.tip().hash();
    grow(&mut tree, root, 5, 1);
    let heavy = child(&tree, &root, 100, 7);
    assert!(matches!(tree.insert(heavy), Ok(TipChange::Reorg(_))));
    assert_eq!(tree.tip().height(), 1);
    assert!(tree.best_at(2).is_none());
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason_and_changes_nothing() {
    let mut tree = HeaderTree::new(base(10));
    let root = tree.tip().hash();
    let before = stored(&tree);
    let orphan = header(B256::repeat_byte(9), 11, 11, 1);
    assert!(matches!(tree.insert(orphan), Err(TreeError::UnknownParent { .. })));
    assert!(matches!(
        tree.insert(header(root, 12, 12, 1)),
        Err(TreeError::Height { height: 12, expected: 11, .. })
    ));
    assert!(matches!(tree.insert(header(root, 11, 10, 1)), Err(TreeError::Weight { .. })));
    let mut foreign = header(root, 11, 11, 1);
    foreign.header.chain = B256::ZERO;
    assert!(matches!(tree.insert(foreign), Err(TreeError::Chain { .. })));
    let mut other_family = header(root, 11, 11, 1);
    other_family.raw = RawHeader::Bitcoin { bytes: [0; 80], context: Default::default() };
    assert!(matches!(tree.insert(other_family), Err(TreeError::Chain { .. })));
    assert_eq!(stored(&tree), before);
}

#[test]
fn only_changed_chunks_are_written_and_emptied_ones_are_removed() {
    let mut tree = HeaderTree::new(base(0));
    assert_eq!(tree.dirty_chunks().len(), 1);
    assert!(tree.dirty_chunks().is_empty());
    let root = tree.tip().hash();
    let main = grow(&mut tree, root, 200, 1);
    let numbers: Vec<u64> = tree.dirty_chunks().iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    grow(&mut tree, main[199], 1, 2);
    assert_eq!(tree.dirty_chunks().iter().map(|(n, _)| *n).collect::<Vec<_>>(), [3]);
    tree.prune(128);
    let dirty = tree.dirty_chunks();
    let shape: Vec<_> = dirty.iter().map(|(number, bytes)| (*number, bytes.is_some())).collect();
    assert_eq!(shape, [(0, false), (1, false), (2, true)]);
    assert_eq!((tree.base().height(), tree.len()), (128, 74));
    tree.prune(128);
    tree.prune(5);
    tree.prune(10_000);
    assert!(tree.dirty_chunks().is_empty(), "nothing to prune, nothing to write");
}

#[test]
fn ancestors_are_found_on_long_branches() {
    let mut tree = HeaderTree::new(base(5));
    let root = tree.tip().hash();
    let main = grow(&mut tree, root, 500, 1);
    let side = grow(&mut tree, main[99], 300, 2);
    for height in 5..=405 {
        let expected = match height {
            5 => root,
            6..=105 => main[index(height - 6)],
            _ => side[index(height - 106)],
        };
        let found = tree.ancestor(&side[299], height).expect("on the branch");
        assert_eq!(found.hash(), expected, "height {height}");
    }
    assert!(tree.ancestor(&side[299], 406).is_none() && tree.ancestor(&side[299], 4).is_none());
    assert!(tree.ancestor(&B256::ZERO, 5).is_none());
}

#[test]
fn a_full_tree_says_so() {
    let mut tree = HeaderTree::new(base(0));
    assert_eq!(tree.most, super::MAX_HEADERS);
    tree.most = 10;
    let root = tree.tip().hash();
    for salt in 1..10 {
        tree.insert(header(root, 1, 1, salt)).expect("room is left");
    }
    assert_eq!(tree.insert(header(root, 1, 1, u64::MAX)), Err(TreeError::Full));
}

#[test]
fn damaged_chunks_are_refused_with_the_reason() {
    let mut tree = HeaderTree::new(base(60));
    let root = tree.tip().hash();
    grow(&mut tree, root, 10, 1);
    let (meta, chunks) = stored(&tree);
    assert_eq!(meta.chunks(), 0..=1);
    let damaged = |number: u64, change: &dyn Fn(&mut Vec<u8>)| {
        let mut chunks = chunks.clone();
        change(chunks.get_mut(&number).expect("exists"));
        load(&meta, &chunks).expect_err("damage is found")
    };
    let error = |chunk, error| TreeError::Chunk { chunk, error };
    assert_eq!(damaged(0, &|bytes| bytes[0] = 2), error(0, ChunkError::Version(2)));
    assert_eq!(
        damaged(0, &|bytes| bytes[1] = 1),
        error(0, ChunkError::Family { found: 1, expected: 2 })
    );
    assert_eq!(damaged(1, &|bytes| bytes[2] = 1), error(1, ChunkError::Invalid("base flag")));
    assert_eq!(damaged(0, &|bytes| bytes[3] = 64), error(0, ChunkError::Invalid("height offset")));
    assert_eq!(damaged(0, &|bytes| bytes.push(4)), error(0, ChunkError::Truncated("order number")));
    assert_eq!(
        damaged(1, &|bytes| bytes.truncate(3)),
        error(1, ChunkError::Truncated("a chunk without headers"))
    );
    let last = damaged(1, &|bytes| {
        let copy = bytes[3..].to_vec();
        bytes.extend(copy);
    });
    assert_eq!(last, error(1, ChunkError::Order { seq: 4, previous: 10 }));
    let mut twice = chunks.clone();
    twice.entry(1).and_modify(|bytes| {
        // One header: offset, order number, time of first sight, weight, hash, time, five hashes.
        let mut copy = bytes[3..3 + 1 + 8 + 8 + 2 + 32 + 8 + 160].to_vec();
        copy[1..9].copy_from_slice(&50u64.to_be_bytes());
        bytes.extend(copy);
    });
    let meta_with_room = TreeMeta { next_seq: 51, headers: 12, ..meta };
    let repeated = load(&meta_with_room, &twice).expect_err("one hash twice");
    assert!(matches!(repeated, TreeError::Chunk { error: ChunkError::Duplicate(_), .. }));

    let mut missing = chunks.clone();
    missing.remove(&1);
    let count = ChunkError::Count { found: 4, expected: 11 };
    assert_eq!(load(&meta, &missing).err(), Some(TreeError::Meta(count)));
    missing.insert(2, chunks[&1].clone());
    assert_eq!(load(&meta, &missing).err(), Some(TreeError::Meta(ChunkError::Stray(2))));
    let error = load(&meta, &BTreeMap::new()).err();
    assert_eq!(error, Some(TreeError::Meta(ChunkError::Count { found: 0, expected: 11 })));

    let full = chunks[&1].clone();
    for length in 0..full.len() {
        let mut cut = chunks.clone();
        cut.insert(1, full[..length].to_vec());
        assert!(load(&meta, &cut).is_err(), "cut at {length}");
    }
}

#[test]
fn a_record_of_the_tree_has_one_form() {
    let meta = TreeMeta { base_height: 3, top_height: 700, headers: 9, next_seq: 12 };
    assert_eq!(TreeMeta::decode(&meta.encode()), Ok(meta));
    let mut longer = meta.encode();
    longer.push(0);
    assert_eq!(TreeMeta::decode(&longer), Err(TreeError::Meta(ChunkError::Trailing(1))));
    let upside_down = TreeMeta { base_height: 701, ..meta }.encode();
    assert!(TreeMeta::decode(&upside_down).is_err());
    assert!(TreeMeta::decode(&meta.encode()[..20]).is_err());
}

/// The tree as plain as it can be: a list in order of insertion, everything else by search.
#[derive(Debug, Clone)]
struct Model(Vec<TrackedHeader>);

impl Model {
    fn get(&self, hash: &B256) -> Option<&TrackedHeader> {
        self.0.iter().find(|tracked| tracked.header.blockHash == *hash)
    }

    fn tip(&self) -> &TrackedHeader {
        let most = self.0.iter().map(|tracked| tracked.weight).max().expect("never empty");
        self.0.iter().find(|tracked| tracked.weight == most).expect("just found")
    }

    /// From the header down to the base.
    fn branch(&self, hash: &B256) -> Vec<B256> {
        let mut branch = Vec::new();
        let mut at = self.get(hash);
        while let Some(tracked) = at {
            branch.push(tracked.header.blockHash);
            at = self.get(&tracked.header.parentHash);
        }
        branch
    }

    fn path(&self, from: &B256, to: &B256) -> Reorg {
        let (from, to) = (self.branch(from), self.branch(to));
        let common = from.iter().find(|hash| to.contains(hash)).expect("the base is common");
        let until = |branch: &[B256]| -> Vec<B256> {
            branch.iter().take_while(|hash| *hash != common).copied().collect()
        };
        let height = self.get(common).expect("in the tree").header.height;
        let added = until(&to).into_iter().rev().collect();
        Reorg { common: (height, *common), removed: until(&from), added }
    }

    fn insert(&mut self, tracked: TrackedHeader) -> TipChange {
        if self.get(&tracked.header.blockHash).is_some() {
            return TipChange::Known;
        }
        let old = self.tip().header.blockHash;
        let parent = tracked.header.parentHash;
        self.0.push(tracked);
        let new = self.tip().header.blockHash;
        if new == old {
            TipChange::Side
        } else if parent == old {
            TipChange::Extended
        } else {
            TipChange::Reorg(self.path(&old, &new))
        }
    }

    fn prune(&mut self, height: u64) {
        let tip = self.tip().header.blockHash;
        let base = self
            .branch(&tip)
            .into_iter()
            .find(|hash| self.get(hash).is_some_and(|tracked| tracked.header.height == height));
        let Some(base) = base else { return };
        let keep: Vec<bool> = self
            .0
            .iter()
            .map(|tracked| self.branch(&tracked.header.blockHash).contains(&base))
            .collect();
        let mut keep = keep.into_iter();
        self.0.retain(|_| keep.next().unwrap_or(false));
    }
}

#[derive(Debug, Clone)]
enum Operation {
    /// Add a child: of which header, with how much more weight, under which salt.
    Insert(Index, u64, u64),
    /// Extend the tip, so that branches grow long enough to cross chunks.
    Extend(u64),
    /// Prune to a part of the best branch.
    Prune(Index),
    /// Write what changed, throw the tree away and read it again.
    Reload,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        8 => (any::<Index>(), 1..4u64, 0..500u64).prop_map(|(at, more, salt)| Operation::Insert(at, more, salt)),
        6 => (1..30u64).prop_map(Operation::Extend),
        1 => any::<Index>().prop_map(Operation::Prune),
        1 => Just(Operation::Reload),
    ];
    proptest::collection::vec(operation, 1..40)
}

fn agree(tree: &HeaderTree, model: &Model, pick: (Index, Index)) -> Result<(), TestCaseError> {
    prop_assert_eq!(tree.len(), model.0.len());
    prop_assert_eq!(owned(tree.base()), model.0[0].clone());
    prop_assert_eq!(owned(tree.tip()), model.tip().clone());
    let best = model.branch(&model.tip().header.blockHash);
    for (hash, height) in best.iter().rev().zip(tree.base().height()..) {
        prop_assert_eq!(tree.best_at(height).map(|found| found.hash()), Some(*hash));
    }
    prop_assert!(tree.best_at(tree.tip().height() + 1).is_none());
    let one = pick.0.get(&model.0).header.blockHash;
    let other = pick.1.get(&model.0).header.blockHash;
    prop_assert_eq!(tree.path(&one, &other), Some(model.path(&one, &other)));
    prop_assert_eq!(tree.get(&one).map(owned), model.get(&one).cloned());
    prop_assert_eq!(tree.is_best(&one), best.contains(&one));
    let branch = model.branch(&one);
    for (hash, height) in branch.iter().rev().zip(tree.base().height()..) {
        let found = tree.ancestor(&one, height).map(|found| found.hash());
        prop_assert_eq!(found, Some(*hash));
        let latest =
            model.branch(hash).iter().filter_map(|at| model.get(at)).map(|at| at.header.time).max();
        if tree.is_best(hash) {
            prop_assert_eq!(tree.max_time_at(height), latest);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_tree_behaves_like_the_naive_one(
        start in 0..200u64,
        operations in operations(),
        pick in any::<(Index, Index)>(),
    ) {
        let mut tree = HeaderTree::new(base(start));
        let mut model = Model(vec![base(start)]);
        let mut store = BTreeMap::new();
        let mut fresh = 10_000u64;
        for operation in operations {
            match operation {
                Operation::Insert(at, more, salt) => {
                    let parent = at.get(&model.0).header.blockHash;
                    let new = child(&tree, &parent, more, salt);
                    // The same salt under another parent would be one hash for two headers.
                    if model.get(&new.header.blockHash).is_none_or(|old| *old == new) {
                        prop_assert_eq!(tree.insert(new.clone()), Ok(model.insert(new)));
                    }
                }
                Operation::Extend(count) => {
                    for _ in 0..count {
                        fresh += 1;
                        let tip = tree.tip().hash();
                        let new = child(&tree, &tip, 1, fresh);
                        prop_assert_eq!(tree.insert(new.clone()), Ok(model.insert(new)));
                    }
                }
                Operation::Prune(at) => {
                    let span = tree.tip().height() - tree.base().height() + 1;
                    let height = tree.base().height() + at.index(index(span)) as u64;
                    tree.prune(height);
                    model.prune(height);
                }
                Operation::Reload => {
                    for (number, bytes) in tree.dirty_chunks() {
                        match bytes {
                            Some(bytes) => store.insert(number, bytes),
                            None => store.remove(&number),
                        };
                    }
                    let again = load(&tree.meta(), &store).expect("what was stored can be read");
                    prop_assert_eq!(stored(&again), stored(&tree));
                    prop_assert_eq!(&stored(&again).1, &store, "every change was written");
                    tree = again;
                }
            }
            agree(&tree, &model, pick)?;
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        meta in any::<(u8, u8, u8, u8)>(),
        chunks in proptest::collection::btree_map(0..6u64, proptest::collection::vec(any::<u8>(), 0..400), 0..4),
        family in 1..=2u8,
    ) {
        let (base, top, headers, next) = meta;
        let meta = TreeMeta {
            base_height: base.into(),
            top_height: top.into(),
            headers: headers.into(),
            next_seq: next.into(),
        };
        let chunks = chunks.into_iter().map(|(number, mut bytes)| {
            // A good start lets the bytes reach the code behind the first checks.
            let has_base = u8::from(number == u64::from(base) / 64);
            for (at, byte) in [1, family, has_base].into_iter().enumerate() {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            (number, bytes)
        });
        let chunks: Vec<_> = chunks.collect();
        let params = crate::bitcoin::NetworkParams::regtest();
        let bitcoin = TreeKind::Bitcoin { chain: chain(), params: &params };
        let _ = HeaderTree::from_chunks(bitcoin, &meta, chunks.clone()).is_ok();
        let ethereum = TreeKind::Ethereum { chain: chain() };
        let _ = HeaderTree::from_chunks(ethereum, &meta, chunks).is_ok();
    }

    #[test]
    fn a_flipped_byte_is_refused_or_changes_the_tree(at in any::<Index>(), flip in 1..=u8::MAX) {
        let mut tree = HeaderTree::new(base(60));
        let root = tree.tip().hash();
        let main = grow(&mut tree, root, 10, 1);
        grow(&mut tree, main[3], 3, 2);
        let (meta, mut chunks) = stored(&tree);
        let before = chunks.clone();
        let bytes = chunks.get_mut(&(at.index(2) as u64)).expect("two chunks");
        *at.get_mut(bytes) ^= flip;
        if let Ok(other) = load(&meta, &chunks) {
            let (_, after) = stored(&other);
            prop_assert_eq!(&after, &chunks, "what is read is what was there");
            prop_assert_ne!(after, before);
        }
    }
}

#[test]
fn headers_beside_the_best_branch_know_their_fork() {
    let mut tree = HeaderTree::new(base(100));
    assert_eq!(tree.side_headers().count(), 0);
    let root = tree.tip().hash();
    let best = grow(&mut tree, root, 10, 1);
    assert_eq!(tree.side_headers().count(), 0);
    let side = grow(&mut tree, best[3], 4, 2);
    let twig = grow(&mut tree, side[1], 2, 3);
    let found = |tree: &HeaderTree| -> Vec<(B256, u64)> {
        tree.side_headers().map(|side| (side.header.hash(), side.fork.height())).collect()
    };
    let expected: Vec<_> = side.iter().chain(&twig).map(|hash| (*hash, 104)).collect();
    assert_eq!(found(&tree), expected);
    // The twig becomes the best branch: what was best lies beside it, as does the rest of the branch.
    let twig = grow(&mut tree, twig[1], 9, 4);
    assert_eq!(tree.tip().hash(), twig[8]);
    let mut expected: Vec<_> = best[4..].iter().map(|hash| (*hash, 104)).collect();
    expected.extend(side[2..].iter().map(|hash| (*hash, 106)));
    assert_eq!(found(&tree), expected);
}

#[test]
fn a_header_knows_its_own_weight() {
    let mut tree = HeaderTree::new(base(100));
    let heavy = child(&tree, &tree.tip().hash(), 7, 1);
    tree.insert(heavy).expect("linked");
    assert_eq!(tree.tip().own_weight(), U256::from(7));
    assert_eq!(tree.base().own_weight(), U256::from(1));
    assert_eq!(tree.tip().real_work(), U256::ZERO);
}
