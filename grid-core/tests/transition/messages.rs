//! Messages and escrows through whole blocks.

use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    ChainId, ChainKey, Family, Level, Security,
    bitcoin::spv::BlockTxs,
    confirm::ConfirmationRule,
    ethereum::mpt::OrderedTrie,
    message::Message,
    modules::{
        ChainRecord, ChainStatus, ClientParams,
        abi::{ESCROW, Escrow, LIGHT_CLIENTS, MAILBOX, Mailbox},
    },
    proof::{
        Inclusion,
        ethereum::{EthereumEvidence, EthereumProof, EthereumRef, EthereumRoots},
        facts::{BitcoinFact, from_block},
    },
    transition::{self, ExecutedBlock, TxReject},
};

use crate::{
    depth, read,
    support::{
        messages::{
            AMOUNT, Index, SCRIPT, SENDER_SCRIPT, block_txs, funding, note, output, own, spend,
        },
        *,
    },
};

struct World {
    chain: Chain,
    governor: Wallet,
    nonce: u64,
    key: ChainKey,
    id: ChainId,
    index: Index,
    trunk: Vec<[u8; 80]>,
}

impl World {
    fn new() -> Self {
        let governor = Wallet::new(1);
        let (network, key) = regtest();
        let record = bitcoin_record(&network, depth(2), 64);
        let chain = Chain::new(&genesis(vec![record], &[&governor]));
        let trunk = mine(&network.genesis.0, 7, 1);
        let id = network.chain_id();
        let mut world = Self { chain, governor, nonce: 0, key, id, index: Index::default(), trunk };
        let block = world.go(MAILBOX, 0, world.route(1));
        assert!(block.receipts[0].status());
        world
    }

    fn route(&self, policy: u8) -> Vec<u8> {
        Mailbox::setRouteCall {
            source: self.key.0,
            destination: own(),
            policy,
            maxPayload: 64,
            minDepth: 0,
            mailbox: Address::ZERO,
        }
        .abi_encode()
    }

    /// A block with one call.
    fn go(&mut self, to: Address, value: u128, input: Vec<u8>) -> ExecutedBlock {
        let tx = self.governor.tx(self.nonce, to, value, 10_000_000, input.into());
        self.nonce += 1;
        let block = self.chain.step(vec![tx]);
        self.index.follow(&block, self.key);
        block
    }

    fn headers(&mut self, headers: &[[u8; 80]]) -> ExecutedBlock {
        let block = self.go(LIGHT_CLIENTS, 0, submit_input(self.key, headers).to_vec());
        assert!(block.receipts[0].status());
        block
    }

    /// Block 8 with a transaction, and two more; the block of the main chain that indexed it.
    fn mined(&mut self, tx: &[u8]) -> (ExecutedBlock, BlockTxs) {
        let txs = block_txs(8, &[tx.to_vec()]);
        let mut headers = self.trunk.clone();
        headers.push(mine_root(&headers[6], txs.tree().root()));
        headers.extend(mine(&headers[7], 2, 1));
        (self.headers(&headers), txs)
    }

    fn deliver(&self, block: &ExecutedBlock, height: u64, txs: &BlockTxs, output: u32) -> Vec<u8> {
        let txid = txs.tree().txids()[1];
        let inclusion = from_block(txs, &[BitcoinFact::Data { txid, output }]).unwrap();
        let proof = self.index.prove(block, &self.id, height, inclusion).to_abi();
        Mailbox::deliverCall { proof, evidence: funding().into() }.abi_encode()
    }

    /// Why a call would be refused.
    fn reason(&self, to: Address, input: &[u8]) -> Option<String> {
        read(&self.chain, to, input.to_vec()).reverted
    }

    fn message(&self, id: B256) -> Mailbox::messageOfReturn {
        let outcome = read(&self.chain, MAILBOX, Mailbox::messageOfCall { id }.abi_encode());
        Mailbox::messageOfCall::abi_decode_returns(&outcome.output).unwrap()
    }

    fn open(&mut self, payee: Address, deadline: u64) -> B256 {
        let input = Escrow::openCall {
            chain: self.key.0,
            script: SCRIPT.to_vec().into(),
            amount: AMOUNT,
            payee,
            deadline,
        };
        let block = self.go(ESCROW, 5 * GRID, input.abi_encode());
        event::<Escrow::Opened>(&block).id
    }

    fn escrow(&self, id: B256) -> u8 {
        let outcome = read(&self.chain, ESCROW, Escrow::escrowOfCall { id }.abi_encode());
        Escrow::escrowOfCall::abi_decode_returns(&outcome.output).unwrap().status
    }
}

fn event<T: SolEvent>(block: &ExecutedBlock) -> T {
    assert!(block.receipts[0].status(), "the call is refused");
    let logs = block.receipts[0].logs();
    logs.iter().find_map(|log| T::decode_log(log).ok()).expect("an event").data
}

#[test]
fn a_bitcoin_payment_releases_an_escrow_once() {
    let mut world = World::new();
    let payee = Address::repeat_byte(0xbe);
    let supply = world.chain.supply();
    let (one, two) = (world.open(payee, START_MS), world.open(payee, START_MS));
    assert_eq!(world.chain.account(ESCROW).balance, U256::from(10 * GRID));
    // One payment, and a message for each of two escrows that ask for the same.
    let tx = spend(vec![
        output(AMOUNT, &SCRIPT),
        note(0, ESCROW, one.as_slice(), false, 0),
        note(1, ESCROW, two.as_slice(), false, 0),
    ]);
    let (block, txs) = world.mined(&tx);
    let input = world.deliver(&block, 8, &txs, 1);
    let block2 = world.go(MAILBOX, 0, input.clone());
    let delivered: Mailbox::Delivered = event(&block2);
    let released: Escrow::Released = event(&block2);
    assert_eq!((released.id, released.payee, released.message), (one, payee, delivered.id));
    assert_eq!((delivered.sender, delivered.height), (keccak256(SENDER_SCRIPT), 8));
    assert_eq!(world.chain.account(payee).balance, U256::from(5 * GRID));
    assert_eq!((world.escrow(one), world.escrow(two)), (2, 1));
    // Whoever comes again.
    let again = Wallet::new(1).tx(world.nonce, MAILBOX, 0, 10_000_000, input.clone().into());
    assert_eq!(transition::check(&world.chain.state, &again, 1), Err(TxReject::AlreadyKnown));
    assert_eq!(world.reason(MAILBOX, &input).as_deref(), Some("already known"));
    // The payment is used up.
    let second = world.deliver(&block, 8, &txs, 2);
    let reason = world.reason(MAILBOX, &second).unwrap();
    assert!(reason.contains("released another escrow"), "{reason}");
    assert_eq!(world.chain.account(ESCROW).balance, U256::from(5 * GRID));
    assert_eq!(world.chain.supply(), supply);
    // Refused is not recorded; after the deadline the owner has it back.
    world.chain.time_ms = (START_MS + 1) * 1_000;
    let block = world.go(ESCROW, 0, Escrow::refundCall { id: two }.abi_encode());
    assert_eq!(event::<Escrow::Refunded>(&block).id, two);
    assert_eq!(world.chain.account(ESCROW).balance, U256::ZERO);
    let reason = world.reason(ESCROW, &Escrow::refundCall { id: two }.abi_encode()).unwrap();
    assert!(reason.contains("is refunded"), "{reason}");
    assert_eq!(world.chain.supply(), supply);
}

#[test]
fn too_little_or_elsewhere_releases_nothing() {
    let mut world = World::new();
    let id = world.open(Address::repeat_byte(0xbe), START_MS);
    let early = Escrow::refundCall { id }.abi_encode();
    assert!(world.reason(ESCROW, &early).unwrap().contains("can be taken back after"));
    let tx = spend(vec![
        output(AMOUNT - 1, &SCRIPT),
        output(AMOUNT, &SENDER_SCRIPT),
        note(0, ESCROW, id.as_slice(), false, 0),
        note(1, ESCROW, b"no id", false, 0),
        note(2, MAILBOX, b"", false, 0),
    ]);
    let (block, txs) = world.mined(&tx);
    let reasons = [2, 3, 4].map(|output| {
        let input = world.deliver(&block, 8, &txs, output);
        world.reason(MAILBOX, &input).unwrap()
    });
    assert!(reasons[0].contains("no output of the transaction pays"), "{}", reasons[0]);
    assert!(reasons[1].contains("32 bytes"), "{}", reasons[1]);
    assert!(reasons[2].contains("is nobody"), "{}", reasons[2]);
    assert_eq!(world.escrow(id), 1);
}

#[test]
fn a_reorganisation_breaches_a_delivery_until_the_message_is_mined_again() {
    let mut world = World::new();
    let account = Address::repeat_byte(0xac);
    let tx = spend(vec![note(0, account, b"hi", false, 0), note(1, account, b"ho", false, 0)]);
    let (block, txs) = world.mined(&tx);
    let (first, second) = (world.deliver(&block, 8, &txs, 0), world.deliver(&block, 8, &txs, 1));
    let done = world.go(MAILBOX, 0, first);
    let id = event::<Mailbox::Delivered>(&done).id;
    let report = Mailbox::reportCall { id }.abi_encode();
    assert!(world.reason(MAILBOX, &report).unwrap().contains("only a delivery that lost"));
    // Another branch from block 7, with the transaction in block 9.
    let mut branch = mine(&world.trunk[6], 1, 2);
    let again = block_txs(9, core::slice::from_ref(&tx));
    branch.push(mine_root(&branch[0], again.tree().root()));
    branch.extend(mine(&branch[1], 3, 2));
    let block = world.headers(&branch);
    let found = world.message(id);
    assert_eq!((found.state, found.brokenFrom), (2, 8));
    // The old proof is of a Grid block whose hash is still known, and is refused.
    let reason = world.reason(MAILBOX, &second).unwrap();
    assert!(reason.contains("was cut back to below height 8"), "{reason}");
    let reported = world.go(MAILBOX, 0, report.clone());
    let breached: Mailbox::Breached = event(&reported);
    assert_eq!((breached.id, breached.height, breached.fromHeight), (id, 8, 8));
    assert_eq!((breached.depth, world.message(id).state), (2, 4));
    assert_eq!(world.reason(MAILBOX, &report).as_deref(), Some("already known"));
    // By a proof of the new block it stands again, without another effect.
    let anew = world.deliver(&block, 9, &again, 0);
    let done = world.go(MAILBOX, 0, anew.clone());
    let event: Mailbox::Reaffirmed = event(&done);
    assert_eq!((event.id, event.height, done.receipts[0].logs().len()), (id, 9, 1));
    let found = world.message(id);
    assert_eq!((found.state, found.brokenFrom, found.height), (2, 0, 9));
    assert_eq!(world.reason(MAILBOX, &anew).as_deref(), Some("already known"));
    let second = world.deliver(&block, 9, &again, 1);
    assert_eq!(world.reason(MAILBOX, &second), None);
}

#[test]
fn ordered_messages_wait_for_each_other_and_expire() {
    let mut world = World::new();
    let account = Address::repeat_byte(0xac);
    let end = u32::try_from(START_MS / 1_000).unwrap() + 100;
    let tx = spend(vec![
        note(0, account, b"a", true, end),
        note(1, account, b"b", true, end + 1_000),
        note(0, account, b"c", true, 0),
    ]);
    let (block, txs) = world.mined(&tx);
    let inputs = [0, 1, 2].map(|output| world.deliver(&block, 8, &txs, output));
    let reason = world.reason(MAILBOX, &inputs[1]).unwrap();
    assert!(reason.contains("next ordered message has nonce 0, not 1"), "{reason}");
    let reason = world.reason(MAILBOX, &inputs[2]).unwrap();
    assert!(reason.contains("needs a deadline"), "{reason}");
    world.chain.time_ms = (u64::from(end) + 1) * 1_000;
    let done = world.go(MAILBOX, 0, inputs[0].clone());
    let expired = event::<Mailbox::Expired>(&done);
    assert_eq!((expired.deadline, world.message(expired.id).state), (end.into(), 3));
    let done = world.go(MAILBOX, 0, inputs[1].clone());
    assert_eq!(event::<Mailbox::Delivered>(&done).nonce, 1);
    assert_eq!(world.reason(MAILBOX, &inputs[0]).as_deref(), Some("already known"));
}

#[test]
fn only_the_governor_opens_routes_and_closed_ones_pass_nothing() {
    let mut world = World::new();
    let tx = spend(vec![note(0, Address::repeat_byte(0xac), b"hi", false, 0)]);
    let (block, txs) = world.mined(&tx);
    let input = world.deliver(&block, 8, &txs, 0);
    // `read` calls as nobody.
    let reason = world.reason(MAILBOX, &world.route(1)).unwrap();
    assert!(reason.contains("only the governor"), "{reason}");
    assert!(world.go(MAILBOX, 0, world.route(0)).receipts[0].status());
    assert!(world.reason(MAILBOX, &input).unwrap().contains("no open route"));
    assert!(world.go(MAILBOX, 0, world.route(3)).receipts[0].status());
    assert!(world.reason(MAILBOX, &input).unwrap().contains("is not on the route's list"));
    let (source, destination) = (world.key.0, own());
    let account = keccak256(SENDER_SCRIPT);
    let list = Mailbox::setListedCall { source, destination, account, sender: true, listed: true };
    assert!(world.go(MAILBOX, 0, list.abi_encode()).receipts[0].status());
    assert_eq!(world.reason(MAILBOX, &input), None);
}

const FOREIGN: u64 = 31_337;

/// A chain of one attester, with an open route from the mailbox `0x6d…`.
struct Evm {
    chain: Chain,
    governor: Wallet,
    attester: Wallet,
    start: alloy_consensus::Header,
    index: Index,
}

fn evm_mailbox() -> Address {
    Address::repeat_byte(0x6d)
}

fn evm() -> Evm {
    let (governor, attester) = (Wallet::new(1), Wallet::new(11));
    let start = alloy_consensus::Header { base_fee_per_gas: Some(7), ..Default::default() };
    let record = ChainRecord {
        id: ChainId::eip155(FOREIGN),
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L0,
        measured: false,
        rule: ConfirmationRule::Instant,
        status: ChainStatus::Active,
        client: ClientParams::Attested {
            threshold: 1,
            attesters: vec![attester.address],
            start: alloy_rlp::encode(&start).into(),
        },
        window: 128,
    };
    let mut chain = Chain::new(&genesis(vec![record], &[&governor]));
    let route = Mailbox::setRouteCall {
        source: ChainId::eip155(FOREIGN).key().0,
        destination: own(),
        policy: 1,
        maxPayload: 64,
        minDepth: 0,
        mailbox: evm_mailbox(),
    };
    let block = chain.step(vec![governor.tx(0, MAILBOX, 0, 1_000_000, route.abi_encode().into())]);
    assert!(block.receipts[0].status());
    // The start is confirmed at once.
    let mut index = Index::default();
    index.follow(&block, ChainId::eip155(FOREIGN).key());
    Evm { chain, governor, attester, start, index }
}

fn sent(source: B256, payload: &[u8]) -> Message {
    Message {
        source,
        nonce: 4,
        sender: Address::repeat_byte(0x5e).into_word(),
        destination: own(),
        recipient: Address::repeat_byte(0xac).into_word(),
        deadline: 0,
        ordered: false,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn dispatched(message: &Message, id: B256, emitter: Address) -> Log {
    let event = Mailbox::Dispatched { id, ..message.clone().into() };
    Log { address: emitter, data: event.encode_log_data() }
}

#[test]
fn an_event_of_the_mailbox_of_an_evm_chain_is_delivered_and_no_other() {
    let Evm { mut chain, governor, attester, start, mut index } = evm();
    let id = ChainId::eip155(FOREIGN);
    let good = sent(id.key().0, b"hello");
    let foreign = sent(own(), b"hello");
    let long = sent(id.key().0, &[7; 65]);
    let logs = vec![
        dispatched(&good, good.id(), evm_mailbox()),
        dispatched(&good, good.id(), Address::repeat_byte(0x6e)),
        dispatched(&good, foreign.id(), evm_mailbox()),
        dispatched(&foreign, foreign.id(), evm_mailbox()),
        dispatched(&long, long.id(), evm_mailbox()),
    ];
    let receipt = Receipt { status: Eip658Value::Eip658(true), cumulative_gas_used: 9, logs };
    let receipt: Bytes = ReceiptEnvelope::Eip1559(receipt.with_bloom()).encoded_2718().into();
    let trie = OrderedTrie::new(&[receipt]);
    let header = alloy_consensus::Header {
        parent_hash: start.hash_slow(),
        number: 1,
        timestamp: 1,
        receipts_root: trie.root(),
        base_fee_per_gas: Some(7),
        ..Default::default()
    };
    let input = crate::chains::attest(&[attester], id.key(), &[header]);
    let block = chain.step(vec![governor.tx(1, LIGHT_CLIENTS, 0, 5_000_000, input)]);
    index.follow(&block, id.key());
    let roots = EthereumRoots::from(&index.0[1]);
    let deliver = |log, evidence: &[u8]| {
        let mut pool = EthereumEvidence::default();
        pool.nodes.extend(trie.prove(0).unwrap());
        let fact = EthereumRef::Receipt { index: 0, log: Some(log) };
        let shown = EthereumProof::build(vec![fact], &roots, &pool).unwrap();
        let proof = index.prove(&block, &id, 1, Inclusion::Ethereum(shown)).to_abi();
        Mailbox::deliverCall { proof, evidence: evidence.to_vec().into() }.abi_encode()
    };
    let reason = |input: Vec<u8>| read(&chain, MAILBOX, input).reverted.unwrap();
    let other = reason(deliver(1, &[]));
    assert!(other.to_lowercase().contains("the event is of 0x6e6e"), "{other}");
    assert!(reason(deliver(2, &[])).contains("the event names id"));
    assert!(reason(deliver(3, &[])).contains("the message says that it is of chain"));
    assert!(reason(deliver(4, &[])).contains("65 bytes, the route takes 64"));
    assert!(reason(deliver(0, &[1])).contains("a log needs none"));
    let input = deliver(0, &[]);
    let block = chain.step(vec![governor.tx(2, MAILBOX, 0, 1_000_000, input.into())]);
    let event: Mailbox::Delivered = event(&block);
    assert_eq!((event.id, event.nonce, event.payload), (good.id(), 4, good.payload));
}
