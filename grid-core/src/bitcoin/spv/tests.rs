#![allow(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use alloy_primitives::hex;
use bitcoin::hashes::Hash as _;
use proptest::prelude::*;

use super::{tree::node, *};

/// Mainnet block 170: coinbase and the first payment.
const BLOCK_170: [&[u8]; 2] = [
    &hex!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff001d0102ffffffff0100f2052a01000000434104d46c4968bde02899d2aa0963367c7a6ce34eec332b32e42e5f3407e052d64ac625da6f0718e7b302140434bd725706957c092db53805b821a85b23a7ac61725bac00000000"
    ),
    &hex!(
        "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000"
    ),
];
const ROOT_170: B256 =
    B256::new(hex!("ff104ccb05421ab93e63f8c3ce5c2c2e9dbb37de2764b3a3175c8166562cac7d"));

/// A real BIP37 merkle block with nine transactions, two of them matched (mainnet 00…13b8a).
const MERKLE_BLOCK: &[u8] = &hex!(
    "0100000090f0a9f110702f808219ebea1173056042a714bad51b916cb6800000000000005275289558f51c9966699404ae2294730c3c9f9bda53523ce50e9b95e558da2fdb261b4d4c86041b1ab1bf930900000005fac7708a6e81b2a986dea60db2663840ed141130848162eb1bd1dee54f309a1b2ee1e12587e497ada70d9bd10d31e83f0a924825b96cb8d04e8936d793fb60db7ad8b910d0c7ba2369bc7f18bb53d80e1869ba2c32274996cebe1ae264bc0e2289189ff0316cdc10511da71da757e553cada9f3b5b1434f3923673adb57d83caac392c38af156d6fc30b55fad4112df2b95531e68114e9ad10011e72f7b7cfdb025700"
);

/// A coinbase of a given height and `count - 1` other transactions.
fn block(height: u64, count: usize) -> Vec<Vec<u8>> {
    let height = u8::try_from(height).expect("a small height");
    let coinbase = format!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0201{height:02x}ffffffff0100f2052a01000000015100000000"
    );
    let payment = |n: usize| {
        format!(
            "0100000001{}00000000015100000000010100000000000000015100000000",
            hex::encode(hash_of(n))
        )
    };
    core::iter::once(coinbase)
        .chain((1..count).map(payment))
        .map(|tx| hex::decode(tx).expect("hex"))
        .collect()
}

/// As [`verify`], with the id of the transaction only.
fn verified(
    proof: &TxProof,
    tx_root: B256,
    height: u64,
    bip34_height: u64,
) -> Result<B256, SpvError> {
    let block = BlockContext { tx_root, height, bip34_height, segwit_height: 1 };
    verify(proof, &block).map(|tx| tx.id())
}

fn hash_of(n: usize) -> B256 {
    node(&B256::with_last_byte(1), &B256::from(alloy_primitives::U256::from(n)))
}

fn ids(txs: &[Vec<u8>]) -> Vec<B256> {
    txs.iter().map(|tx| Tx::from_stripped(tx).unwrap().id()).collect()
}

#[test]
fn the_first_payment_is_in_block_170() {
    let proof = prove(&BLOCK_170, 1).unwrap();
    let mut txid = verified(&proof, ROOT_170, 170, 227_931).unwrap();
    txid.0.reverse();
    let shown = "0xf4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16";
    assert_eq!(txid, shown.parse::<B256>().unwrap());
    // Where BIP34 is active this old coinbase does not do.
    assert_eq!(verified(&proof, ROOT_170, 170, 1), Err(SpvError::Height(170)));
}

#[test]
fn every_transaction_of_every_small_block_proves() {
    for count in 1..=33 {
        let txs = block(77, count);
        let root = merkle_root(&ids(&txs)).unwrap();
        for index in 0..count as u64 {
            let proof = prove(&txs, index).unwrap();
            let found = verified(&proof, root, 77, 1);
            assert_eq!(found, Ok(ids(&txs)[index as usize]), "{index} of {count}");
            assert_eq!(verified(&proof, root, 78, 1), Err(SpvError::Height(78)));
            assert!(verified(&proof, B256::ZERO, 77, 1).is_err());
        }
        assert!(matches!(prove(&txs, count as u64), Err(SpvError::Count { .. })));
    }
}

#[test]
fn soft_fork_heights_are_those_of_the_network_table() {
    let of = |chain: &ChainId| BlockContext::new(chain, B256::ZERO, 7);
    for params in crate::bitcoin::network::NetworkParams::all() {
        assert_eq!(of(&params.chain_id()).bip34_height, params.bip34_height, "{}", params.name);
    }
    let unknown = of(&"bip122:12345678901234567890123456789012".parse().unwrap());
    assert_eq!(unknown.bip34_height, DEFAULT_BIP34_HEIGHT);
    assert_eq!(unknown.segwit_height, DEFAULT_SEGWIT_HEIGHT);
}

#[test]
fn a_repeated_end_is_refused() {
    // Nine transactions and the same nine with the last one repeated have one root (CVE-2012-2459).
    let txs = block(77, 9);
    let mut repeated = txs.clone();
    repeated.push(txs[8].clone());
    assert_eq!(merkle_root(&ids(&repeated)), Err(SpvError::Mutated));
    assert!(matches!(prove(&repeated, 9), Err(SpvError::Mutated)));
    let root = merkle_root(&ids(&txs)).unwrap();
    let mut proof = prove(&txs, 8).unwrap();
    proof.index = 9;
    assert_eq!(verified(&proof, root, 77, 1), Err(SpvError::Duplicate { level: 0 }));
    // The same for a repeated pair, one level up.
    let txs = block(77, 6);
    let root = merkle_root(&ids(&txs)).unwrap();
    for index in 4..6 {
        let mut proof = prove(&txs, index).unwrap();
        assert!(verified(&proof, root, 77, 1).is_ok());
        proof.index = index + 2;
        assert_eq!(verified(&proof, root, 77, 1), Err(SpvError::Duplicate { level: 1 }));
    }
}

#[test]
fn a_node_paired_with_itself_is_the_last_of_its_level() {
    let leaf = hash_of(1);
    // Alone on its level: it would be the root.
    assert_eq!(climb(leaf, 0, &[leaf]), Err(SpvError::Duplicate { level: 0 }));
    // Last of three, and then not the last of two.
    let pair = node(&leaf, &leaf);
    assert!(climb(leaf, 2, &[leaf, hash_of(2)]).is_ok());
    assert_eq!(
        climb(leaf, 4, &[leaf, hash_of(2), hash_of(3)]),
        Err(SpvError::Duplicate { level: 1 })
    );
    assert!(climb(leaf, 4, &[leaf, pair, hash_of(3)]).is_ok());
}

#[test]
fn an_inner_node_is_not_a_transaction() {
    let txs = block(77, 9);
    let ids = ids(&txs);
    let root = merkle_root(&ids).unwrap();
    let good = prove(&txs, 2).unwrap();
    // CVE-2017-12842: the preimage of the node over transactions 2 and 3, one level up.
    let mut bad = good;
    bad.raw = [ids[2].0, ids[3].0].concat().into();
    bad.index = 1;
    bad.branch.remove(0);
    let depth = SpvError::Depth { branch: 3, coinbase: 4 };
    assert_eq!(verified(&bad, root, 77, 1), Err(depth));
    bad.coinbase_branch.remove(0);
    let sixty_four = SpvError::Transaction(TxError::SixtyFour);
    assert_eq!(verified(&bad, root, 77, 1), Err(sixty_four));
}

#[test]
fn other_faults_have_their_errors() {
    let txs = block(77, 9);
    let root = merkle_root(&ids(&txs)).unwrap();
    let good = prove(&txs, 2).unwrap();
    let error = |change: fn(&mut TxProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        verified(&bad, root, 77, 1).unwrap_err()
    };
    assert_eq!(error(|p| p.index = 16), SpvError::Index { index: 16, depth: 4 });
    assert_eq!(error(|p| p.raw = p.coinbase.clone()), SpvError::SecondCoinbase { index: 2 });
    assert_eq!(error(|p| p.index = u64::MAX), SpvError::Index { index: u64::MAX, depth: 4 });
    assert!(matches!(error(|p| p.index = 3), SpvError::Root { index: 3, .. }));
    assert!(matches!(error(|p| p.coinbase = p.raw.clone()), SpvError::NotCoinbase(_)));
    assert_eq!(
        error(|p| {
            p.branch.resize(16, B256::ZERO);
            p.coinbase_branch.resize(16, B256::ZERO);
        }),
        SpvError::TooDeep(16)
    );
    assert!(matches!(
        error(|p| p.coinbase_branch[0] = B256::ZERO),
        SpvError::Root { index: 0, .. }
    ));
    assert!(climb(B256::ZERO, MAX_TRANSACTIONS, &[hash_of(1); 15]).is_err());
}

#[test]
fn a_real_merkle_block_is_read() {
    let parsed = MerkleBlock::parse(MERKLE_BLOCK).unwrap();
    assert_eq!(parsed.count(), 9);
    assert_eq!(parsed.header()[..4], [1, 0, 0, 0]);
    let found: Vec<(u64, usize)> =
        parsed.matches().iter().map(|found| (found.index, found.branch.len())).collect();
    assert!(!found.is_empty() && found.iter().all(|(_, depth)| *depth == 4), "{found:?}");
    let root = B256::from_slice(&parsed.header()[36..68]);
    for found in parsed.matches() {
        assert_eq!(climb(found.txid, found.index, &found.branch), Ok(root));
    }
}

#[test]
fn every_changed_byte_after_the_header_breaks_a_merkle_block() {
    // The header is judged by the header rules; here only its root counts.
    for at in (0..MERKLE_BLOCK.len()).filter(|at| *at >= 36 && !(68..80).contains(at)) {
        for mask in [0x01, 0x80] {
            let mut bad = MERKLE_BLOCK.to_vec();
            bad[at] ^= mask;
            let good = MerkleBlock::parse(MERKLE_BLOCK).unwrap();
            // A number of transactions that leaves the shape as it is cannot be noticed: the
            // root does not commit to it.
            let same = |block: MerkleBlock| block.matches() != good.matches();
            assert!(MerkleBlock::parse(&bad).map_or(true, same), "byte {at}");
        }
        assert!(MerkleBlock::parse(&MERKLE_BLOCK[..at]).is_err());
    }
    assert!(MerkleBlock::parse(&[MERKLE_BLOCK, &[0]].concat()).is_err());
}

#[test]
fn long_forms_of_short_lengths_are_refused() {
    let (head, rest) = MERKLE_BLOCK.split_at(84);
    assert_eq!(rest[0], 5);
    let long = [head, &[0xfd, 5, 0], &rest[1..]].concat();
    let error = SpvError::MerkleBlock("a length is not in its shortest form");
    assert_eq!(MerkleBlock::parse(&long), Err(error));
}

proptest! {
    #[test]
    fn nothing_but_the_right_index_reaches_the_root(count in 1usize..40, pick: prop::sample::Index, other in 0u64..70) {
        let ids: Vec<B256> = (0..count).map(hash_of).collect();
        let tree = TxTree::new(ids.clone()).unwrap();
        let root = tree.root();
        let index = pick.index(count);
        let siblings = tree.branch(index as u64).unwrap();
        prop_assert_eq!(climb(ids[index], index as u64, &siblings), Ok(root));
        let reaches = climb(ids[index], other, &siblings) == Ok(root);
        prop_assert_eq!(reaches, other == index as u64);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), count in 0u32..20) {
        let _either = MerkleBlock::parse(&bytes);
        let mut bad = MERKLE_BLOCK.to_vec();
        bad[80..84].copy_from_slice(&count.to_le_bytes());
        let _either = MerkleBlock::parse(&bad);
        let _either = Tx::from_stripped(&bytes);
        let _either = Tx::strip(&bytes);
    }
}

/// A regtest block of height 77 whose other transactions all have a witness, and which commits to it.
fn segwit_block(count: usize) -> Vec<Vec<u8>> {
    let plain = block(77, count);
    let witnessed = |(n, raw): (usize, &Vec<u8>)| {
        let mut tx: bitcoin::Transaction = bitcoin::consensus::deserialize(raw).unwrap();
        tx.input[0].witness.push(vec![n as u8; n % 5]);
        tx
    };
    let mut txs: Vec<_> = plain.iter().enumerate().map(witnessed).collect();
    txs[0].input[0].witness = bitcoin::Witness::from_slice(&[[9; 32]]);
    let wtxids = txs.iter().skip(1).map(|tx| B256::new(tx.compute_wtxid().to_byte_array()));
    let root = merkle_root(&core::iter::once(B256::ZERO).chain(wtxids).collect::<Vec<_>>());
    let commitment = node(&root.unwrap(), &B256::repeat_byte(9));
    let script = [&hex!("6a24aa21a9ed")[..], commitment.as_slice()].concat();
    // Of several commitments the last one counts, and what follows its 38 bytes does not.
    for script in [[&script[..6], &[1; 32]].concat(), [&script[..], &[0]].concat()] {
        txs[0]
            .output
            .push(bitcoin::TxOut { value: bitcoin::Amount::ZERO, script_pubkey: script.into() });
    }
    txs.iter().map(bitcoin::consensus::serialize).collect()
}

fn context(txs: &BlockTxs) -> BlockContext {
    let tx_root = txs.tree().root();
    BlockContext { tx_root, height: 77, bip34_height: 1, segwit_height: 1 }
}

#[test]
fn every_witness_of_every_small_block_proves() {
    for count in 2..=17 {
        let raw = segwit_block(count);
        let txs = BlockTxs::new(&raw).unwrap();
        let (block, witness) = (context(&txs), txs.witness().unwrap());
        assert_eq!(witness.prove(0), Err(SpvError::CoinbaseWitness));
        for index in 1..count as u64 {
            let proof = witness.prove(index).unwrap();
            assert_eq!(*proof.raw, raw[index as usize]);
            let tx = verify_witness(&proof, &block).unwrap();
            assert_eq!(tx.wtxid(), crate::bitcoin::header::sha256d(&raw[index as usize]));
            assert_eq!(Some(&tx.id()), txs.tree().txids().get(index as usize));
        }
        assert!(witness.prove(count as u64).is_err());
    }
}

#[test]
fn what_the_commitment_does_not_cover_is_refused() {
    let raw = segwit_block(9);
    let txs = BlockTxs::new(&raw).unwrap();
    let good = txs.witness().unwrap().prove(3).unwrap();
    let block = context(&txs);
    let error = |change: fn(&mut WitnessProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        verify_witness(&bad, &block).unwrap_err()
    };
    assert!(matches!(error(|p| p.reserved_value = B256::ZERO), SpvError::Commitment { .. }));
    assert!(matches!(error(|p| p.witness_branch[1] = B256::ZERO), SpvError::Commitment { .. }));
    assert!(matches!(error(|p| p.branch[1] = B256::ZERO), SpvError::Root { index: 3, .. }));
    assert!(matches!(
        error(|p| p.coinbase_branch[1] = B256::ZERO),
        SpvError::Root { index: 0, .. }
    ));
    assert!(matches!(error(|p| p.witness_branch.truncate(3)), SpvError::Depth { .. }));
    assert!(matches!(error(|p| p.index = 4), SpvError::Root { index: 4, .. }));
    assert_eq!(error(|p| p.index = 0), SpvError::CoinbaseWitness);
    // Without its witness the transaction has the same id, but another witness id.
    assert!(matches!(
        error(|p| p.raw = Tx::strip(&p.raw).unwrap().into()),
        SpvError::Commitment { .. }
    ));
    let early = BlockContext { segwit_height: 78, ..block };
    let before = SpvError::BeforeSegwit { height: 77, segwit_height: 78 };
    assert_eq!(verify_witness(&good, &early), Err(before));
    // A block without commitment, and one whose transactions were given without witness.
    assert_eq!(
        BlockTxs::new(&self::block(77, 3)).unwrap().witness().err(),
        Some(SpvError::NoCommitment)
    );
    let stripped: Vec<_> = raw.iter().map(|tx| Tx::strip(tx).unwrap()).collect();
    let without = BlockTxs::new(&stripped).unwrap();
    assert_eq!(without.witness().err(), Some(SpvError::ReservedValue));
}

#[test]
fn a_merkle_block_needs_the_coinbase() {
    let parsed = MerkleBlock::parse(MERKLE_BLOCK).unwrap();
    let txs = block(77, 9);
    let txid = Tx::from_stripped(&txs[2]).unwrap().id();
    assert_eq!(parsed.prove(&txs[2], &txs[0]), Err(SpvError::NotMatched(txid)));
}

/// A merkle block as `gettxoutproof` writes it: by the `bitcoin` crate, over all transactions of `raw`.
fn merkle_block(raw: &[Vec<u8>], wanted: &[usize]) -> Vec<u8> {
    let txids: Vec<bitcoin::Txid> =
        ids(raw).iter().map(|id| bitcoin::Txid::from_byte_array(id.0)).collect();
    let root = merkle_root(&ids(raw)).unwrap();
    let mut header = crate::bitcoin::header::Header::parse(&[0; 80]);
    header.merkle_root = root;
    let header = bitcoin::consensus::deserialize(&header.to_bytes()).unwrap();
    let picked = |id: &bitcoin::Txid| wanted.iter().any(|at| txids[*at] == *id);
    bitcoin::consensus::serialize(&bitcoin::MerkleBlock::from_header_txids_with_predicate(
        &header, &txids, picked,
    ))
}

#[test]
fn a_merkle_block_with_its_coinbase_is_a_proof() {
    let txs = block(77, 9);
    let all = BlockTxs::new(&txs).unwrap();
    let parsed = MerkleBlock::parse(&merkle_block(&txs, &[0, 2, 8])).unwrap();
    for index in [0, 2, 8] {
        let proof = parsed.prove(&txs[index], &txs[0]).unwrap();
        assert_eq!(proof, all.prove(index as u64).unwrap());
    }
    let alone = MerkleBlock::parse(&merkle_block(&txs, &[2])).unwrap();
    assert_eq!(alone.prove(&txs[2], &txs[0]), Err(SpvError::NoCoinbase));
}

fn several(txs: &BlockTxs, indices: &[u64]) -> TxsProof {
    let proofs: Vec<TxProof> = indices.iter().map(|index| txs.prove(*index).unwrap()).collect();
    TxsProof::join(&proofs).unwrap()
}

#[test]
fn several_transactions_share_nodes() {
    let txs = BlockTxs::new(&block(77, 16)).unwrap();
    let block = context(&txs);
    // All of them need no node at all; two neighbours beside the coinbase's pair need two.
    let all: Vec<u64> = (0..16).collect();
    assert!(several(&txs, &all).nodes.is_empty());
    assert_eq!(several(&txs, &[3, 2, 3]).nodes.len(), 3);
    let good = several(&txs, &[2, 3, 9]);
    assert_eq!(good.nodes.len(), 5);
    let found = verify_several(&good, &block).unwrap();
    assert_eq!(found.iter().map(|placed| placed.index).collect::<Vec<_>>(), [2, 3, 9]);
    let error = |change: fn(&mut TxsProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        verify_several(&bad, &block).unwrap_err()
    };
    assert_eq!(error(|p| p.nodes.push(B256::ZERO)), SpvError::Nodes { needed: 5, found: 6 });
    assert_eq!(error(|p| p.nodes.truncate(4)), SpvError::Nodes { needed: 5, found: 4 });
    assert!(matches!(error(|p| p.nodes.swap(0, 1)), SpvError::Root { .. }));
    assert_eq!(error(|p| p.transactions.swap(0, 1)), SpvError::Order { previous: 3, index: 2 });
    assert_eq!(
        error(|p| p.transactions[1] = p.transactions[0].clone()),
        SpvError::Order { previous: 2, index: 2 }
    );
    assert_eq!(error(|p| p.transactions.clear()), SpvError::Count { index: 0, count: 0 });
    assert_eq!(error(|p| p.depth = 3), SpvError::Index { index: 9, depth: 3 });
    assert_eq!(error(|p| p.depth = 16), SpvError::TooDeep(16));
    assert!(matches!(
        error(|p| p.coinbase = p.transactions[0].raw.clone()),
        SpvError::NotCoinbase(_)
    ));
    assert!(matches!(error(|p| p.transactions[0].index = 0), SpvError::NotCoinbase(_)));
    assert_eq!(
        error(|p| p.transactions[0].raw = p.coinbase.clone()),
        SpvError::SecondCoinbase { index: 2 }
    );
    let huge = |p: &mut TxsProof| p.transactions[0].raw = vec![0; 1_000_001].into();
    assert!(matches!(error(huge), SpvError::TooLarge(_)));
    // Proofs of two blocks do not join.
    let other = BlockTxs::new(&self::block(78, 16)).unwrap();
    let mixed = [txs.prove(2).unwrap(), other.prove(3).unwrap()];
    assert_eq!(TxsProof::join(&mixed), Err(SpvError::OtherBlock));
    assert!(TxsProof::join(&[]).is_err());
}

proptest! {
    /// Our own numbering of nodes against the `bitcoin` crate's partial tree: the same transactions, the same
    /// number of hashes (a leaf that is proven is not listed here, and a node paired with itself is).
    #[test]
    fn several_transactions_prove_what_single_proofs_do(
        count in 1usize..70,
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        damage in any::<prop::sample::Index>(),
    ) {
        let raw = block(77, count);
        let txs = BlockTxs::new(&raw).unwrap();
        let block = context(&txs);
        let wanted: Vec<u64> = picks.iter().map(|pick| pick.index(count) as u64).collect();
        let proof = several(&txs, &wanted);
        let found = verify_several(&proof, &block).unwrap();
        let mut expected = wanted;
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(found.iter().map(|tx| tx.index).collect::<Vec<_>>(), expected.clone());
        for PlacedTx { index, tx } in &found {
            prop_assert_eq!(verify(&txs.prove(*index).unwrap(), &block).unwrap().id(), tx.id());
        }
        let at: Vec<usize> = expected.iter().map(|index| *index as usize).chain([0]).collect();
        let theirs = MerkleBlock::parse(&merkle_block(&raw, &at)).unwrap();
        for index in &at {
            prop_assert_eq!(&theirs.prove(&raw[*index], &raw[0]).unwrap(), &txs.prove(*index as u64).unwrap());
        }
        if !proof.nodes.is_empty() {
            let mut bad = proof.clone();
            bad.nodes[damage.index(proof.nodes.len())].0[0] ^= 1;
            prop_assert!(verify_several(&bad, &block).is_err());
            let mut bad = proof.clone();
            bad.nodes.remove(damage.index(proof.nodes.len()));
            prop_assert!(verify_several(&bad, &block).is_err());
        }
        let mut bad = proof;
        bad.depth ^= 1;
        prop_assert!(verify_several(&bad, &block).is_err());
    }
}

#[test]
fn a_repeated_end_is_refused_among_several() {
    // Six transactions as eight: the pair (4, 5) again at (6, 7).
    let txs = BlockTxs::new(&block(77, 6)).unwrap();
    let block = context(&txs);
    let good = several(&txs, &[4, 5]);
    assert!(verify_several(&good, &block).is_ok());
    let mut bad = good.clone();
    for tx in &mut bad.transactions {
        tx.index += 2;
    }
    assert_eq!(verify_several(&bad, &block), Err(SpvError::Duplicate { level: 1 }));
    // Both pairs named, as if the end were real.
    let mut bad = good;
    let copies: Vec<IndexedTx> = bad
        .transactions
        .iter()
        .map(|tx| IndexedTx { index: tx.index + 2, raw: tx.raw.clone() })
        .collect();
    bad.transactions.extend(copies);
    bad.nodes.remove(1);
    assert_eq!(verify_several(&bad, &block), Err(SpvError::Duplicate { level: 1 }));
}
