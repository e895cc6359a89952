use super::*;
use crate::{
    ChainId,
    api::BlockRef,
    proof::{
        CodecError, CrossChainProof, Inclusion,
        ethereum::EthereumRef,
        tests::fixture::{
            HISTORY, OWNER, SLOT, Validators, ancestor_header, ancestor_proof, ethereum_block,
            ethereum_facts, history_block, prove,
        },
        verify::{self, verify},
    },
};

const HEIGHT: u64 = 1_000;
const FACT: EthereumRef = EthereumRef::Storage { address: OWNER, slot: SLOT };

/// Builds the proof under a block at `indexed` whose contract holds `hashes`.
fn build(
    indexed: u64,
    contract: (Address, &[u8]),
    hashes: &[(B256, B256)],
) -> Result<AncestorProof, AncestorError> {
    let (_, good) = ancestor_proof(vec![FACT]);
    let (header, nodes) = history_block(indexed, contract, hashes, history_slot(HEIGHT));
    AncestorProof::build(&header, good.ancestor, &nodes, good.facts)
}

#[test]
fn only_the_last_8191_ancestors_are_named() {
    let hashes = [(history_slot(HEIGHT), ancestor_header().1)];
    for above in [1, 2, 8_190, 8_191] {
        assert!(build(HEIGHT + above, HISTORY, &hashes).is_ok(), "{above}");
    }
    for indexed in [0, HEIGHT - 1, HEIGHT, HEIGHT + 8_192, HEIGHT + 2 * 8_191, u64::MAX / 2] {
        let window = AncestorError::Window { height: HEIGHT, indexed };
        assert_eq!(build(indexed, HISTORY, &hashes), Err(window.clone()));
        // Nor where somebody else has put the proof together.
        let (header, proof) = ancestor_proof(vec![FACT]);
        let header = CompatHeader { height: indexed, ..header };
        assert_eq!(proof.show(&header), Err(window));
    }
    assert_eq!(history_slot(8_191), B256::ZERO);
    assert_eq!(history_slot(8_192), B256::with_last_byte(1));
}

#[test]
fn the_hash_stands_in_its_slot_of_the_history_contract() {
    let (indexed, hash) = (HEIGHT + 10, ancestor_header().1);
    let slot = history_slot(HEIGHT);
    assert_eq!(build(indexed, HISTORY, &[]), Err(AncestorError::Absent(HEIGHT)));
    let neighbours = [(history_slot(HEIGHT - 1), hash), (history_slot(HEIGHT + 1), hash)];
    assert_eq!(build(indexed, HISTORY, &neighbours), Err(AncestorError::Absent(HEIGHT)));
    let expected = B256::repeat_byte(7);
    let other = AncestorError::Hash { height: HEIGHT, expected, found: hash };
    assert_eq!(build(indexed, HISTORY, &[(slot, expected)]), Err(other));
    // Another account that holds the hash, and another contract at the address.
    let elsewhere = build(indexed, (OWNER, HISTORY.1), &[(slot, hash)]);
    assert_eq!(elsewhere, Err(AncestorError::Contract { found: B256::ZERO }));
    let forged = build(indexed, (HISTORY_CONTRACT, &[0x60]), &[(slot, hash)]);
    assert_eq!(forged, Err(AncestorError::Contract { found: keccak256([0x60]) }));
    assert_eq!(HISTORY.1, HISTORY_STORAGE_CODE.as_ref());
}

#[test]
fn nothing_is_missing_left_over_or_another_headers() {
    let (indexed, good) = ancestor_proof(vec![FACT]);
    let refused = |change: &dyn Fn(&mut AncestorProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.show(&indexed).unwrap_err()
    };
    for at in 0..good.nodes.len() {
        refused(&|p| drop(p.nodes.remove(at)));
        refused(&|p| p.nodes.insert(at, good.nodes[at].clone()));
        for other in 0..at {
            refused(&|p| p.nodes.swap(at, other));
        }
    }
    let unused = refused(&|p| p.nodes.push(good.nodes[0].clone()));
    assert!(matches!(unused, AncestorError::Trie(MptError::Unused { .. })), "{unused}");
    for at in 0..good.ancestor.len() {
        let mut raw = good.ancestor.to_vec();
        raw[at] ^= 1;
        refused(&|p| p.ancestor = raw.clone().into());
    }
    // The facts are of the ancestor, not of the indexed block, nor the other way round.
    assert!(good.facts.show(&EthereumRoots::from(&indexed)).is_err());
    let of_history = EthereumRef::Account { address: HISTORY_CONTRACT };
    let mut nodes = NodePool::default();
    nodes.extend(good.nodes.clone());
    let evidence = super::super::EthereumEvidence { nodes, ..Default::default() };
    let roots = EthereumRoots::from(&indexed);
    let facts = EthereumProof::build(vec![of_history], &roots, &evidence).unwrap();
    let error = refused(&|p| p.facts = facts.clone());
    assert!(matches!(error, AncestorError::Facts(_)), "{error}");
}

#[test]
fn sizes_are_capped_before_hashing() {
    let capped = |change: fn(&mut AncestorProof)| {
        let (indexed, mut bad) = ancestor_proof(vec![FACT]);
        change(&mut bad);
        bad.show(&indexed).unwrap_err()
    };
    let many = MptError::TooManyNodes { found: 129, allowed: 128 };
    assert_eq!(capped(|p| p.nodes = vec![Bytes::new(); 129]), many.into());
    let long = capped(|p| p.nodes = vec![vec![0; mpt::MAX_NODE_BYTES + 1].into()]);
    assert!(matches!(long, AncestorError::Trie(MptError::NodeTooLong { .. })), "{long}");
    let header = capped(|p| p.ancestor = vec![0; 16 * 1024 + 1].into());
    assert_eq!(header, EthHeaderError::TooLarge(16 * 1024 + 1).into());
    assert_eq!(capped(|p| p.facts.facts.clear()), EthereumFactError::Empty.into());
}

#[test]
fn a_fact_of_an_ancestor_has_the_name_that_it_has_under_the_ancestors_own_header() {
    let chain = ChainId::eip155(1);
    let (_, hash) = ancestor_header();
    let own = CompatHeader { blockHash: hash, ..ethereum_block().0 };
    let evidence = ethereum_block().1;
    for (name, facts) in ethereum_facts() {
        let direct = EthereumProof::build(facts.clone(), &EthereumRoots::from(&own), &evidence);
        let direct = direct.unwrap().show(&EthereumRoots::from(&own)).unwrap();
        let (indexed, proof) = ancestor_proof(facts);
        let claim = proof.show(&indexed).unwrap();
        let block = BlockRef { height: HEIGHT, hash };
        assert_eq!((claim.block(&indexed), claim.block(&own)), (block, block), "{name}");
        assert_eq!(claim.hash(&indexed), direct.hash(&own), "{name}");
        assert_ne!(claim.hash(&indexed), direct.hash(&indexed), "{name}");
        assert_eq!(claim.fact_hashes(&indexed), direct.fact_hashes(&own), "{name}");
        let alone: Vec<B256> = direct.facts().iter().map(|fact| fact.hash(&own)).collect();
        assert_eq!(direct.fact_hashes(&own), alone, "{name}");
        // Facts of the header's block are asked for: an ancestor's are not among them.
        assert_eq!(claim.facts(), std::slice::from_ref(&claim), "{name}");
        let time = own.time;
        let named =
            Claim::Ancestor { height: HEIGHT, block_hash: hash, time, claim: direct.into() };
        assert_eq!(claim, named, "{name}");
    }
    let (validators, (indexed, proof)) = (Validators::new(1), ancestor_proof(vec![FACT]));
    let proof = prove(&chain, &indexed, Inclusion::EthereumAncestor(proof), (5, 11), &validators);
    let proven = verify(&proof, &validators.trust()).unwrap().into_inner();
    assert_eq!((proven.height, proven.block_hash, proven.time), (HEIGHT, hash, own.time));
    let over = BlockRef { height: indexed.height, hash: indexed.blockHash };
    assert_eq!((proven.ancestor_of, proven.index_depth), (Some(over), 5));
    assert_eq!(proven.claim_hash, proof.claim.hash(&indexed));
}

#[test]
fn a_claim_that_names_no_or_another_ancestor_is_refused() {
    let (validators, (indexed, proof)) = (Validators::new(1), ancestor_proof(vec![FACT]));
    let chain = ChainId::eip155(1);
    let good = prove(&chain, &indexed, Inclusion::EthereumAncestor(proof), (5, 11), &validators);
    let Claim::Ancestor { height, block_hash, time, claim } = good.claim.clone() else {
        panic!("{:?}", good.claim)
    };
    let zero = B256::ZERO;
    for changed in [
        claim.as_ref().clone(),
        Claim::Ancestor { height: indexed.height, block_hash, time, claim: claim.clone() },
        Claim::Ancestor { height, block_hash: zero, time, claim: claim.clone() },
        Claim::Ancestor { height, block_hash, time: time + 1, claim },
    ] {
        let bad = CrossChainProof { claim: changed, ..good.clone() };
        assert!(matches!(verify(&bad, &validators.trust()), Err(verify::VerifyError::Claim(_))));
    }
    // Ancestors do not nest, and nothing but Ethereum's facts stands in one.
    for (inner, kind) in [(good.claim.clone(), 14), (Claim::Header {}, 5)] {
        let claim = Box::new(inner);
        let nested = Claim::Ancestor { height, block_hash, time, claim };
        let bad = CrossChainProof { claim: nested, ..good.clone() };
        let error = CodecError::Kind { part: "claim of an ancestor", kind };
        assert_eq!(CrossChainProof::from_abi(&bad.to_abi()), Err(error));
    }
}
