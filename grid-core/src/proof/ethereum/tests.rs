use alloy_primitives::{Address, B256, Bytes, keccak256};

use super::*;
use crate::{
    ethereum::mpt,
    proof::{
        Claim,
        tests::fixture::{OWNER, SLOT, STRANGER, ethereum_block, ethereum_facts},
    },
};

fn build(facts: &[EthereumRef]) -> Result<EthereumProof, EthereumFactError> {
    let (header, evidence) = ethereum_block();
    EthereumProof::build(facts.to_vec(), &EthereumRoots::from(&header), &evidence)
}

fn roots() -> EthereumRoots {
    EthereumRoots::from(&ethereum_block().0)
}

/// The proof of several facts, and the one with all receipts.
fn lists() -> [EthereumProof; 2] {
    let facts = ethereum_facts();
    let [.., (_, several), (_, logs)] = facts.as_slice() else { panic!("no lists") };
    [build(several).unwrap(), build(logs).unwrap()]
}

#[test]
fn a_fact_has_the_same_name_alone_and_in_a_list() {
    let (header, _) = ethereum_block();
    let [several, _] = lists();
    let list = several.show(&roots()).unwrap();
    assert_eq!(list.facts().len(), several.facts.len());
    for (fact, listed) in several.facts.iter().zip(list.facts()) {
        let alone = build(&[*fact]).unwrap().show(&roots()).unwrap();
        assert_eq!(alone, *listed);
        assert_eq!(alone.hash(&header), listed.hash(&header));
        assert_eq!(alone.facts(), std::slice::from_ref(listed));
    }
}

#[test]
fn facts_share_their_nodes() {
    let [several, _] = lists();
    let alone: usize = several.facts.iter().map(|fact| build(&[*fact]).unwrap().nodes.len()).sum();
    let mut distinct = several.nodes.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), several.nodes.len(), "every node is listed once");
    assert!(several.nodes.len() < alone, "{} of {alone}", several.nodes.len());
    // A second slot adds its own path only, not its account's.
    let slots = [SLOT, B256::with_last_byte(4)];
    let storage = slots.map(|slot| EthereumRef::Storage { address: OWNER, slot });
    let account = build(&[EthereumRef::Account { address: OWNER }]).unwrap().nodes;
    let both = build(&storage).unwrap().nodes;
    assert_eq!(both[..account.len()], account);
    // The order of the request does not matter.
    let mut shuffled = several.facts.clone();
    shuffled.reverse();
    shuffled.extend(several.facts.iter().copied());
    assert_eq!(build(&shuffled).unwrap(), several);
}

#[test]
fn nodes_receipts_codes_and_facts_have_one_order_and_none_to_spare() {
    type Field = fn(&mut EthereumProof) -> &mut Vec<Bytes>;
    let fields: [Field; 3] = [|p| &mut p.nodes, |p| &mut p.receipts, |p| &mut p.codes];
    for good in lists() {
        assert!(good.show(&roots()).is_ok());
        let refused = |change: &dyn Fn(&mut EthereumProof), what: &str| {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(bad == good || bad.show(&roots()).is_err(), "{what} is taken");
        };
        for field in fields {
            let count = field(&mut good.clone()).len();
            for at in 0..count {
                refused(&|p| drop(field(p).remove(at)), "a missing part");
                refused(
                    &|p| {
                        let again = field(p)[at].clone();
                        field(p).insert(at, again);
                    },
                    "a part given twice",
                );
                for other in 0..at {
                    refused(&|p| field(p).swap(at, other), "a swap");
                }
            }
            refused(&|p| field(p).push(Bytes::new()), "an empty part more");
            refused(&|p| field(p).push(Bytes::from_static(&[1; 40])), "a part more");
        }
        for at in 0..good.facts.len() {
            refused(
                &|p| {
                    let again = p.facts[at];
                    p.facts.insert(at, again);
                },
                "a fact given twice",
            );
            for other in 0..at {
                refused(&|p| p.facts.swap(at, other), "another order of facts");
            }
        }
    }
}

#[test]
fn the_number_of_transactions_is_exact() {
    for count in [0u64, 1, 4, 6, 127, 128, 129, u64::MAX] {
        let error = build(&[EthereumRef::TransactionCount { count }]).unwrap_err();
        let near = matches!(error, EthereumFactError::Count(found) if found == count);
        // Nodes for places far off are not among the evidence.
        assert!(near || matches!(error, EthereumFactError::Trie(_)), "{count}: {error}");
    }
    for length in [0usize, 1, 2, 127, 128, 129, 300] {
        let values: Vec<Vec<u8>> =
            (0..length).map(|i| [&[2; 40][..], &i.to_be_bytes()].concat()).collect();
        let count = length as u64;
        let indices: Vec<u64> = (0..=count + 1).collect();
        let (root, nodes) = mpt::ordered_nodes(&values, &indices);
        let roots = EthereumRoots { transactions: root, receipts: B256::ZERO, state: B256::ZERO };
        let mut evidence = EthereumEvidence::default();
        evidence.nodes.extend(nodes);
        let prove = |count| {
            let fact = EthereumRef::TransactionCount { count };
            EthereumProof::build(vec![fact], &roots, &evidence)?.show(&roots)
        };
        assert_eq!(prove(count), Ok(Claim::TransactionCount { count }));
        for wrong in [count.checked_sub(1), Some(count + 1)].into_iter().flatten() {
            assert_eq!(prove(wrong), Err(EthereumFactError::Count(wrong)), "{length}");
        }
    }
}

#[test]
fn what_is_not_there_is_an_error() {
    let error = |fact: EthereumRef| build(&[fact]).unwrap_err();
    let absent = |what| EthereumFactError::Absent { what, index: 5 };
    assert_eq!(error(EthereumRef::Transaction { index: 5 }), absent("transaction"));
    let index = 3;
    let what = "receipt";
    let fact = EthereumRef::Receipt { index, log: None };
    assert_eq!(error(fact), EthereumFactError::Absent { what, index });
    let missing = ReceiptError::NoLog { index: 2, count: 2 };
    let fact = EthereumRef::Receipt { index: 0, log: Some(2) };
    assert_eq!(error(fact), EthereumFactError::Receipt { index: 0, error: missing });
    assert_eq!(build(&[]), Err(EthereumFactError::Empty));
    let fact = EthereumRef::Code { address: Address::repeat_byte(9), bytes: true };
    assert!(matches!(error(fact), EthereumFactError::Missing(_)));
    let mut other = build(&[EthereumRef::Code { address: OWNER, bytes: true }]).unwrap();
    other.codes[0] = Bytes::from_static(&[0x60]);
    let found = keccak256([0x60]);
    assert!(matches!(
        other.show(&roots()),
        Err(EthereumFactError::Code { address: OWNER, found: wrong, .. }) if wrong == found
    ));
}

#[test]
fn code_hashes_are_those_of_extcodehash() {
    let code = |address, bytes| match build(&[EthereumRef::Code { address, bytes }])
        .unwrap()
        .show(&roots())
        .unwrap()
    {
        Claim::Code { code_hash, code, .. } => (code_hash, code),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(STRANGER, false), (B256::ZERO, None));
    assert_eq!(code(STRANGER, true), (B256::ZERO, Some(Bytes::new())));
    // An account that has sent transactions and has no code.
    let plain = Address::repeat_byte(2);
    assert_eq!(code(plain, false), (keccak256([]), None));
}

#[test]
fn all_logs_need_every_receipt_to_be_readable() {
    let fact = EthereumRef::Logs { address: OWNER, topic: None };
    let show = |receipts: Vec<Bytes>| {
        let mut of_block = roots();
        of_block.receipts = mpt::ordered_trie_root(&receipts);
        let evidence = EthereumEvidence { receipts, ..EthereumEvidence::default() };
        EthereumProof::build(vec![fact], &of_block, &evidence)
    };
    assert!(show(Vec::new()).is_ok(), "a block without transactions has no logs");
    let receipts = ethereum_block().1.receipts;
    assert!(show(receipts.clone()).is_ok());
    let unknown = show([&receipts[..], &[Bytes::from_static(&[0x7e, 1])]].concat());
    let error = ReceiptError::UnknownType(0x7e);
    assert_eq!(unknown, Err(EthereumFactError::Receipt { index: 3, error }));
    let proof = show(receipts).unwrap();
    let error = proof.show(&EthereumRoots { receipts: B256::ZERO, ..roots() }).unwrap_err();
    assert!(matches!(error, EthereumFactError::ReceiptsRoot { expected: B256::ZERO, .. }));
}

#[test]
fn sizes_are_capped_before_hashing() {
    let capped = |change: fn(&mut EthereumProof)| {
        let mut bad = lists()[1].clone();
        change(&mut bad);
        bad.show(&roots()).unwrap_err()
    };
    let many = |what, found, allowed| EthereumFactError::TooMany { what, found, allowed };
    let facts: fn(&mut EthereumProof) = |p| p.facts = vec![p.facts[0]; MAX_FACTS + 1];
    assert_eq!(capped(facts), many("facts", MAX_FACTS + 1, MAX_FACTS));
    let queries = capped(|p| p.facts = vec![p.facts[1]; MAX_LOG_QUERIES + 1]);
    assert_eq!(queries, many("questions for logs", MAX_LOG_QUERIES + 1, MAX_LOG_QUERIES));
    let receipts = capped(|p| p.receipts = vec![Bytes::new(); MAX_RECEIPTS + 1]);
    assert_eq!(receipts, many("receipts", MAX_RECEIPTS + 1, MAX_RECEIPTS));
    let nodes = capped(|p| p.nodes = vec![Bytes::new(); 6 * 64 + 1]);
    assert_eq!(nodes, many("trie nodes", 6 * 64 + 1, 6 * 64));
    let long: fn(&mut EthereumProof) = |p| p.codes = vec![vec![0; MAX_TOTAL_BYTES].into()];
    assert!(matches!(capped(long), EthereumFactError::TooLong(found) if found > MAX_TOTAL_BYTES));
    let node = capped(|p| p.nodes = vec![vec![0; mpt::MAX_NODE_BYTES + 1].into()]);
    assert!(matches!(node, EthereumFactError::Trie(MptError::NodeTooLong { index: 0, .. })));
}
