//! A small world for tests and benchmarks: foreign blocks, a Grid block that indexes them, and the
//! validators that signed it. The including module names this crate `grid_core`.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, hex, keccak256};
use alloy_sol_types::SolValue;
use k256::ecdsa::SigningKey;

use super::grid_core::{
    ChainId, CompatHeader,
    bitcoin::spv,
    ethereum::mpt::{self, NodePool},
    grid::{CommitCertificate, Extension, RecoverableSignature, Validator, ValidatorSet},
    index::{ChainEntry, index_root},
    mmr::{self, Mmr},
    proof::{
        Anchor, CrossChainProof, Inclusion, Segment, Trust, TrustAnchor, build,
        ethereum::{
            EthereumEvidence, EthereumProof, EthereumRef, EthereumRoots,
            ancestor::{AncestorProof, HISTORY_CONTRACT, history_slot},
        },
        facts::{BitcoinFact, from_block},
    },
};

/// The Grid chain's number.
pub(crate) const GRID: u64 = 7_001;

/// Mainnet's block 170: the first payment.
pub(crate) const BLOCK_170: [&[u8]; 2] = [
    &hex!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff001d0102ffffffff0100f2052a01000000434104d46c4968bde02899d2aa0963367c7a6ce34eec332b32e42e5f3407e052d64ac625da6f0718e7b302140434bd725706957c092db53805b821a85b23a7ac61725bac00000000"
    ),
    &hex!(
        "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000"
    ),
];

/// The transactions root in the header of block 170.
pub(crate) const BLOCK_170_ROOT: B256 =
    B256::new(hex!("ff104ccb05421ab93e63f8c3ce5c2c2e9dbb37de2764b3a3175c8166562cac7d"));

/// Bitcoin's main network.
pub(crate) fn bitcoin() -> ChainId {
    "bip122:000000000019d6689c085ae165831e93".parse().expect("a CAIP-2 id")
}

/// A foreign header with the given roots (transactions, receipts, state).
pub(crate) fn header(chain: &ChainId, height: u64, roots: [B256; 3]) -> CompatHeader {
    CompatHeader {
        chain: chain.key().0,
        height,
        blockHash: keccak256(height.to_be_bytes()),
        parentHash: keccak256(height.wrapping_sub(1).to_be_bytes()),
        time: 1_700_000_000 + height,
        txRoot: roots[0],
        receiptsRoot: roots[1],
        stateRoot: roots[2],
        indexRoot: B256::ZERO,
    }
}

/// Grid validators with their keys, by increasing address.
pub(crate) struct Validators {
    /// Keys in the order of the set.
    pub(crate) keys: Vec<SigningKey>,
    /// The set, power 1 each.
    pub(crate) set: ValidatorSet,
}

impl Validators {
    /// `count` validators with fixed keys.
    pub(crate) fn new(count: u8) -> Self {
        let address = |key: &SigningKey| Address::from_public_key(key.verifying_key());
        let mut keys: Vec<SigningKey> = (1..=count)
            .map(|seed| SigningKey::from_slice(&[seed; 32]).expect("a valid scalar"))
            .collect();
        keys.sort_by_key(address);
        let members = keys.iter().map(|key| Validator { account: address(key), power: 1 });
        let set = ValidatorSet::new(members.collect()).expect("a valid set");
        Self { keys, set }
    }

    /// A certificate by the first `signers` of them.
    pub(crate) fn certify(&self, height: u64, block_hash: B256, signers: usize) -> Anchor {
        let mut certificate =
            CommitCertificate { height, round: 1, block_hash, signatures: Vec::new() };
        let digest = certificate.digest(GRID);
        certificate.signatures = self.keys[..signers]
            .iter()
            .map(|key| {
                let signature = key.sign_prehash_recoverable(digest.as_slice()).expect("signs");
                RecoverableSignature::from(Signature::from(signature))
            })
            .collect();
        Anchor::Certificate { certificate, validators: self.set.clone() }
    }

    /// Trust in this set.
    pub(crate) fn trust(&self) -> Trust {
        Trust { chain_id: GRID, anchor: TrustAnchor::Validators(self.set.clone()) }
    }
}

/// Indexes `header` as leaf `at` of `count` headers of its chain, beside two other chains, in a Grid block
/// signed by all `validators`, and proves `inclusion`.
pub(crate) fn prove(
    chain: &ChainId,
    header: &CompatHeader,
    inclusion: Inclusion,
    (at, count): (u64, u64),
    validators: &Validators,
) -> CrossChainProof {
    let first_height = header.height - at;
    let (mut range, mut nodes) = (Mmr::new(), Vec::new());
    for leaf in 0..count {
        let other = CompatHeader { height: first_height + leaf, ..header.clone() };
        let new = mmr::append_with_nodes(&mut range, other.leaf());
        nodes.extend(new.into_iter().map(|(_, node)| node));
    }
    let accumulator = mmr::prove(&nodes, count, at).expect("the leaf exists");
    let entry = ChainEntry {
        chain: chain.key().0,
        level: 3,
        security: 1,
        firstHeight: first_height,
        count,
        accumulatorRoot: range.root(),
        tipHash: B256::repeat_byte(0x77),
    };
    let others = [0x00, 0xff].map(|byte| ChainEntry {
        chain: B256::repeat_byte(byte),
        tipHash: B256::repeat_byte(byte),
        ..entry.clone()
    });
    let [low, high] = others;
    let entries = [low, entry, high];
    let grid_header = grid_header(index_root(&entries), &validators.set);
    let hash = keccak256(&grid_header);
    let segment: Segment =
        build::segment(accumulator, &entries, 1, grid_header).expect("the entry exists");
    let anchor = validators.certify(42, hash, validators.keys.len());
    build::assemble(header.clone(), chain.clone(), inclusion, segment, anchor)
        .expect("the inclusion fits the header")
}

/// RLP of Grid block 42.
pub(crate) fn grid_header(index_root: B256, validators: &ValidatorSet) -> Bytes {
    let extension = Extension {
        version: 1,
        timeMs: 1_700_000_123_456,
        indexRoot: index_root,
        validatorsHash: validators.hash(),
        nextValidatorsHash: validators.hash(),
        collectionHash: B256::repeat_byte(5),
        extra: Bytes::new(),
    };
    let header = Header {
        number: 42,
        timestamp: 1_700_000_123,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        extra_data: extension.abi_encode().into(),
        ..Header::default()
    };
    alloy_rlp::encode(header).into()
}

/// The first payment, in block 170.
pub(crate) fn bitcoin_proof(validators: &Validators, range: (u64, u64)) -> CrossChainProof {
    let header = header(&bitcoin(), 170, [BLOCK_170_ROOT, B256::ZERO, B256::ZERO]);
    let inclusion = spv::prove(&BLOCK_170, 1).expect("a block").into();
    prove(&bitcoin(), &header, inclusion, range, validators)
}

/// The coinbase of a mainnet block of height 500,000 with a commitment to two witnesses, and a transaction with one
/// witness that pays, and stores data.
pub(crate) fn segwit_block() -> [Vec<u8>; 3] {
    use bitcoin::{Amount, Transaction, TxOut, consensus};
    let mut coinbase: Transaction = consensus::deserialize(BLOCK_170[0]).expect("a transaction");
    coinbase.input[0].script_sig = hex!("0320a107").to_vec().into();
    coinbase.input[0].witness.push([7; 32]);
    let mut first: Transaction = consensus::deserialize(BLOCK_170[1]).expect("a transaction");
    first.input[0].witness.push(b"a witness");
    first.output[1].script_pubkey = hex!("6a09677269643a64617461").to_vec().into();
    let mut second = first.clone();
    second.input[0].previous_output.vout = 1;
    let wtxid = |tx: &Transaction| spv_hash(&consensus::serialize(tx));
    let ends = spv_hash(&[wtxid(&second).0, wtxid(&second).0].concat());
    let root = spv_hash(&[spv_hash(&[[0; 32], wtxid(&first).0].concat()).0, ends.0].concat());
    let commitment = spv_hash(&[root.0, [7; 32]].concat());
    let script = [&hex!("6a24aa21a9ed")[..], commitment.as_slice()].concat();
    coinbase.output.push(TxOut { value: Amount::ZERO, script_pubkey: script.into() });
    [coinbase, first, second].map(|tx| consensus::serialize(&tx))
}

fn spv_hash(bytes: &[u8]) -> B256 {
    super::grid_core::bitcoin::header::sha256d(bytes)
}

/// A payment, data, a witness and several facts in one block.
fn bitcoin_facts(
    validators: &Validators,
    range: (u64, u64),
) -> Vec<(&'static str, CrossChainProof)> {
    let txs = spv::BlockTxs::new(&segwit_block()).expect("a block");
    let header = header(&bitcoin(), 500_000, [txs.tree().root(), B256::ZERO, B256::ZERO]);
    let [first, second] = [1, 2].map(|at: usize| txs.tree().txids()[at]);
    let payment = BitcoinFact::Payment { txid: first, output: 0 };
    let data = BitcoinFact::Data { txid: first, output: 1 };
    let cases = [
        ("bitcoin payment", vec![payment]),
        ("bitcoin data", vec![data]),
        ("bitcoin witness", vec![BitcoinFact::Witness { txid: first }]),
        ("bitcoin transactions", vec![BitcoinFact::Tx { txid: second }, data, payment]),
    ];
    cases
        .map(|(name, facts)| {
            let inclusion = from_block(&txs, &facts).expect("facts of the block");
            (name, prove(&bitcoin(), &header, inclusion, range, validators))
        })
        .to_vec()
}

/// Three receipts: success with two logs, failure of type 2, success of a legacy transaction.
pub(crate) fn receipts() -> Vec<Vec<u8>> {
    use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope};
    use alloy_eips::eip2718::Encodable2718;
    use alloy_primitives::Log;
    let log = |byte: u8| {
        let topics = vec![B256::repeat_byte(byte), B256::repeat_byte(1)];
        Log::new_unchecked(Address::repeat_byte(byte), topics, Bytes::from(vec![byte; 37]))
    };
    let receipt = |ok: bool, logs: Vec<Log>| {
        Receipt { status: Eip658Value::Eip658(ok), cumulative_gas_used: 21_000, logs }.with_bloom()
    };
    [
        ReceiptEnvelope::Eip1559(receipt(true, vec![log(8), log(9)])),
        ReceiptEnvelope::Eip1559(receipt(false, vec![])),
        ReceiptEnvelope::Legacy(receipt(true, vec![log(3)])),
    ]
    .map(|receipt| receipt.encoded_2718())
    .to_vec()
}

/// An account with storage and code.
pub(crate) const OWNER: Address = Address::repeat_byte(0x42);
/// An account that does not exist.
pub(crate) const STRANGER: Address = Address::repeat_byte(0x44);
/// A slot of the owner, which holds 99; the one after it is absent.
pub(crate) const SLOT: B256 = B256::with_last_byte(3);
/// The owner's code.
pub(crate) const CODE: [u8; 5] = hex!("60016002f3");

/// Header of an Ethereum block, and the evidence for everything in it.
pub(crate) fn ethereum_block() -> (CompatHeader, EthereumEvidence) {
    let transactions: Vec<Vec<u8>> = (0..5u8).map(|i| [&[2u8][..], &[i; 40]].concat()).collect();
    let receipts = receipts();
    let mut evidence = EthereumEvidence::default();
    let mut roots = Vec::new();
    for list in [&transactions, &receipts] {
        let indices: Vec<u64> = (0..=list.len() as u64).collect();
        let (root, nodes) = mpt::ordered_nodes(list, &indices);
        evidence.nodes.extend(nodes);
        roots.push(root);
    }
    let absent_slot = B256::with_last_byte(4);
    let (storage_root, nodes) = storage(SLOT, U256::from(99), &SLOT);
    evidence.nodes.extend(nodes);
    evidence.nodes.extend(storage(SLOT, U256::from(99), &absent_slot).1);
    let entries = state_entries(OWNER, storage_root);
    for address in [OWNER, STRANGER, Address::repeat_byte(2)] {
        let (root, nodes) = mpt::prove_hashed(&entries, &keccak256(address));
        evidence.nodes.extend(nodes);
        roots.truncate(2);
        roots.push(root);
    }
    evidence.receipts = receipts.into_iter().map(Bytes::from).collect();
    evidence.codes = [(OWNER, Bytes::from_static(&CODE)), (STRANGER, Bytes::new())].into();
    let roots = [roots[0], roots[1], roots[2]];
    (header(&ChainId::eip155(1), 1_000, roots), evidence)
}

/// RLP of a header of the Ethereum block, and its hash.
pub(crate) fn ancestor_header() -> (Bytes, B256) {
    let (block, _) = ethereum_block();
    let header = Header {
        number: block.height,
        timestamp: block.time,
        transactions_root: block.txRoot,
        receipts_root: block.receiptsRoot,
        state_root: block.stateRoot,
        ..Header::default()
    };
    let header = Bytes::from(alloy_rlp::encode(header));
    let hash = keccak256(&header);
    (header, hash)
}

/// Header of a block in whose state the account `address` with `code` holds these hashes by slot, and the nodes of
/// the paths to `slot`.
pub(crate) fn history_block(
    height: u64,
    (address, code): (Address, &[u8]),
    hashes: &[(B256, B256)],
    slot: B256,
) -> (CompatHeader, NodePool) {
    let value = |hash: &B256| alloy_rlp::encode(U256::from_be_bytes(hash.0));
    let hashes = hashes.iter().map(|(slot, hash)| (keccak256(slot), value(hash))).collect();
    let (storage_root, nodes) = mpt::prove_hashed(&hashes, &keccak256(slot));
    let mut pool = NodePool::default();
    pool.extend(nodes);
    let mut entries = state_entries(OWNER, B256::ZERO);
    let account = alloy_trie::TrieAccount::new(1, U256::ZERO, storage_root, keccak256(code));
    entries.insert(keccak256(address), alloy_rlp::encode(account));
    let (root, nodes) = mpt::prove_hashed(&entries, &keccak256(HISTORY_CONTRACT));
    pool.extend(nodes);
    (header(&ChainId::eip155(1), height, [B256::ZERO, B256::ZERO, root]), pool)
}

/// The history contract with its code.
pub(crate) const HISTORY: (Address, &[u8]) = (
    HISTORY_CONTRACT,
    &hex!(
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
    ),
);

/// An indexed header, and facts of the Ethereum block as of an ancestor of it.
pub(crate) fn ancestor_proof(facts: Vec<EthereumRef>) -> (CompatHeader, AncestorProof) {
    let (block, evidence) = ethereum_block();
    let (ancestor, hash) = ancestor_header();
    let slot = history_slot(block.height);
    let others = (1..9u64).map(|above| (history_slot(block.height + above), slot));
    let hashes: Vec<_> = others.chain([(slot, hash)]).collect();
    let (indexed, pool) = history_block(block.height + 8_191, HISTORY, &hashes, slot);
    let facts = EthereumProof::build(facts, &EthereumRoots::from(&block), &evidence)
        .expect("facts of the block");
    let proof = AncestorProof::build(&indexed, ancestor, &pool, facts).expect("an ancestor");
    (indexed, proof)
}

/// Facts of the Ethereum block, each alone and then together.
pub(crate) fn ethereum_facts() -> Vec<(&'static str, Vec<EthereumRef>)> {
    let contract = Address::repeat_byte(3);
    let single = [
        ("transaction", EthereumRef::Transaction { index: 3 }),
        ("receipt", EthereumRef::Receipt { index: 1, log: None }),
        ("log", EthereumRef::Receipt { index: 0, log: Some(1) }),
        ("account", EthereumRef::Account { address: OWNER }),
        ("absent account", EthereumRef::Account { address: STRANGER }),
        ("storage", EthereumRef::Storage { address: OWNER, slot: SLOT }),
        ("absent slot", EthereumRef::Storage { address: OWNER, slot: B256::with_last_byte(4) }),
        ("slot of nobody", EthereumRef::Storage { address: STRANGER, slot: SLOT }),
        ("code hash", EthereumRef::Code { address: STRANGER, bytes: false }),
        ("code", EthereumRef::Code { address: OWNER, bytes: true }),
        ("transaction count", EthereumRef::TransactionCount { count: 5 }),
        ("logs", EthereumRef::Logs { address: contract, topic: Some(B256::repeat_byte(3)) }),
    ];
    let without_logs = |fact: &EthereumRef| !matches!(fact, EthereumRef::Logs { .. });
    let several = single.map(|(_, fact)| fact).into_iter().filter(without_logs).collect();
    let mut all: Vec<_> = single.map(|(name, fact)| (name, vec![fact])).to_vec();
    all.push(("ethereum facts", several));
    let logs = |address| EthereumRef::Logs { address, topic: None };
    all.push(("ethereum logs", vec![logs(contract), logs(STRANGER), single[2].1]));
    all
}

/// One proof of every kind, with its name.
pub(crate) fn all_kinds(validators: &Validators) -> Vec<(&'static str, CrossChainProof)> {
    let chain = ChainId::eip155(1);
    let range = (5, 11);
    let (header, evidence) = ethereum_block();
    let mut proofs = vec![("bitcoin", bitcoin_proof(validators, range))];
    proofs.extend(bitcoin_facts(validators, range));
    proofs.push(("header", prove(&chain, &header, Inclusion::HeaderOnly {}, range, validators)));
    let roots = EthereumRoots::from(&header);
    for (name, facts) in ethereum_facts() {
        let proof = EthereumProof::build(facts, &roots, &evidence).expect("facts of the block");
        let proof = prove(&chain, &header, Inclusion::Ethereum(proof), range, validators);
        proofs.push((name, proof));
    }
    let facts = ethereum_facts();
    for (name, at) in [("fact of an ancestor", 5), ("facts of an ancestor", facts.len() - 2)] {
        let (indexed, proof) = ancestor_proof(facts[at].1.clone());
        let inclusion = Inclusion::EthereumAncestor(proof);
        proofs.push((name, prove(&chain, &indexed, inclusion, range, validators)));
    }
    proofs
}

fn state_entries(owner: Address, storage_root: B256) -> std::collections::BTreeMap<B256, Vec<u8>> {
    let account = |nonce: u64, storage_root: B256| {
        let balance = U256::from(1_000_000_007u64);
        let code_hash = keccak256(if nonce == 7 { &CODE[..] } else { &[] });
        alloy_rlp::encode(alloy_trie::TrieAccount::new(nonce, balance, storage_root, code_hash))
    };
    let mut entries: std::collections::BTreeMap<B256, Vec<u8>> = (0..4u8)
        .map(|i| {
            (keccak256(Address::repeat_byte(i)), account(u64::from(i), alloy_trie::EMPTY_ROOT_HASH))
        })
        .collect();
    entries.insert(keccak256(owner), account(7, storage_root));
    entries
}

fn storage(slot: B256, value: U256, key: &B256) -> (B256, Vec<Bytes>) {
    let mut entries: std::collections::BTreeMap<B256, Vec<u8>> = (10..12u8)
        .map(|i| (keccak256(B256::with_last_byte(i)), alloy_rlp::encode(U256::from(i))))
        .collect();
    entries.insert(keccak256(slot), alloy_rlp::encode(value));
    mpt::prove_hashed(&entries, &keccak256(key))
}
