//! Real mainnet blocks with transactions of every type, served as a node serves them. Needs the test data
//! (`GRID_TESTDATA`, by default `../shared/data` beside the project).

use std::{collections::BTreeSet, path::PathBuf};

use alloy_consensus::{ReceiptEnvelope, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rpc_types_eth::{Log, Transaction, TransactionReceipt};
use grid_adapters::{
    AdapterError, Material, ProofRequest, SourceChain as _,
    ethereum::{EthereumSource, FollowHead},
};
use grid_core::{
    ChainId,
    ethereum::decode_header,
    proof::{
        Claim, Inclusion,
        ethereum::{EthereumFact, EthereumRoots},
    },
};
use serde_json::{Value, json};

use crate::fake::{Fake, Outcome, no_rest};

/// A block in the forms that a node's methods answer with.
#[derive(Clone)]
struct Block {
    header: Value,
    hash: B256,
    raw: Vec<Bytes>,
    hashes: Vec<B256>,
    transactions: Vec<Value>,
    receipts: Vec<Value>,
    /// Whether the node has `eth_getBlockReceipts`.
    whole: bool,
    /// A transaction of another block.
    elsewhere: Option<(B256, B256)>,
}

fn load() -> Vec<Block> {
    let data = std::env::var_os("GRID_TESTDATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let folder = data.join("ethereum/mainnet-blocks");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("SKIPPED: there is no {}; set GRID_TESTDATA", folder.display());
        return Vec::new();
    };
    let blocks: Vec<Block> =
        files.map(|file| parse(&std::fs::read(file.unwrap().path()).unwrap())).collect();
    assert!(!blocks.is_empty(), "{} is empty", folder.display());
    blocks
}

fn parse(json: &[u8]) -> Block {
    let json: Value = serde_json::from_slice(json).unwrap();
    let bytes = |field: &str| serde_json::from_value::<Vec<Bytes>>(json[field].clone()).unwrap();
    let rlp: Bytes = serde_json::from_value(json["header_rlp"].clone()).unwrap();
    let sealed = decode_header(&rlp).unwrap();
    let (hash, number) = (sealed.hash, sealed.header.number);
    let raw = bytes("transactions");
    let place = |index: usize| (Some(hash), Some(number), Some(index as u64));
    let transactions = raw.iter().enumerate().map(|(index, raw)| {
        let inner = TxEnvelope::decode_2718_exact(raw).unwrap();
        let (block_hash, block_number, transaction_index) = place(index);
        serde_json::to_value(Transaction {
            inner: Recovered::new_unchecked(inner, Address::ZERO),
            block_hash,
            block_number,
            transaction_index,
            effective_gas_price: None,
            block_timestamp: None,
        })
        .unwrap()
    });
    let receipts =
        bytes("receipts_eip2718").into_iter().zip(&raw).enumerate().map(|(index, pair)| {
            let (receipt, transaction) = pair;
            let inner = ReceiptEnvelope::decode_2718_exact(&receipt).unwrap();
            let (block_hash, block_number, transaction_index) = place(index);
            serde_json::to_value(TransactionReceipt {
                inner: inner.map_logs(|inner| Log { inner, ..Log::default() }),
                transaction_hash: keccak256(transaction),
                transaction_index,
                block_hash,
                block_number,
                gas_used: 0,
                effective_gas_price: 0,
                blob_gas_used: None,
                blob_gas_price: None,
                from: Address::ZERO,
                to: None,
                contract_address: None,
            })
            .unwrap()
        });
    let (transactions, receipts) = (transactions.collect(), receipts.collect());
    let header = serde_json::to_value(alloy_rpc_types_eth::Header::new(sealed.header)).unwrap();
    let hashes = raw.iter().map(keccak256).collect();
    Block { header, hash, raw, hashes, transactions, receipts, whole: true, elsewhere: None }
}

impl Block {
    fn number(&self) -> u64 {
        serde_json::from_value::<alloy_primitives::U64>(self.header["number"].clone()).unwrap().to()
    }

    fn place(&self, hash: &Value) -> usize {
        let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
        self.hashes.iter().position(|other| *other == hash).unwrap()
    }

    fn call(&self, method: &str, params: &Value) -> Outcome {
        Ok(match method {
            "eth_chainId" => "0x1".into(),
            "eth_getTransactionByHash"
                if self.elsewhere.is_some_and(|(hash, _)| params[0] == json!(hash)) =>
            {
                json!({"blockHash": self.elsewhere.unwrap().1, "transactionIndex": "0x0"})
            }
            "eth_getBlockByNumber" if params[0] != json!(format!("{:#x}", self.number())) => {
                Value::Null
            }
            "eth_getBlockByNumber" => self.header.clone(),
            "eth_getTransactionByHash" => {
                let index = self.place(&params[0]);
                json!({"blockHash": self.hash, "transactionIndex": format!("{index:#x}")})
            }
            "eth_getBlockByHash" => {
                let mut block = self.header.clone();
                block["transactions"] = self.transactions.clone().into();
                block
            }
            "eth_getBlockReceipts" if self.whole => self.receipts.clone().into(),
            "eth_getTransactionReceipt" => self.receipts[self.place(&params[0])].clone(),
            "eth_getRawTransactionByBlockHashAndIndex" => {
                let index = params[1].as_str().unwrap().trim_start_matches("0x");
                json!(self.raw[usize::from_str_radix(index, 16).unwrap()])
            }
            _ => return Err((-32_601, "the method does not exist")),
        })
    }

    async fn ask(self, request: ProofRequest) -> Result<Material, AdapterError> {
        self.serve().await.1.proof_material(request).await
    }

    async fn serve(self) -> (Fake, EthereumSource) {
        let fake = Fake::rpc(move |method, params| self.call(method, params), no_rest).await;
        let mut limits = *fake.endpoint().limits();
        limits.max_body = 32 << 20;
        limits.max_batch = 100;
        let endpoint = fake.endpoint().with_limits(limits);
        let source = EthereumSource::new(ChainId::eip155(1), endpoint, FollowHead::Latest);
        (fake, source.unwrap())
    }
}

/// The first and last place, the border of RLP's one-byte keys, and the first of each type.
fn places(block: &Block) -> BTreeSet<usize> {
    let mut places = BTreeSet::from([0, block.raw.len() - 1]);
    places.extend([127, 128].into_iter().filter(|place| *place < block.raw.len()));
    for first in 0..=4_u8 {
        let of_type = |raw: &Bytes| raw[0] == first || (first == 0 && raw[0] >= 0xc0);
        places.extend(block.raw.iter().position(of_type));
    }
    places
}

fn of(facts: &[EthereumFact]) -> ProofRequest {
    ProofRequest::Ethereum { facts: facts.to_vec(), block: None, via: None }
}

/// The facts that a proof shows.
fn shown(material: &Material) -> Claim {
    let Inclusion::Ethereum(proof) = &material.inclusion else { panic!("{material:?}") };
    proof.show(&EthereumRoots::from(&material.header)).unwrap()
}

#[tokio::test]
async fn transactions_and_receipts_of_every_type_are_proven() {
    for block in load() {
        let (_fake, source) = block.clone().serve().await;
        let at = |place: &usize| EthereumFact::Transaction { hash: block.hashes[*place] };
        let places = places(&block);
        let facts: Vec<EthereumFact> = places.iter().map(at).collect();
        let material = source.proof_material(of(&facts)).await.unwrap();
        let expected = places
            .iter()
            .map(|place| Claim::Transaction { index: *place as u64, hash: block.hashes[*place] });
        assert_eq!(shown(&material).facts(), expected.collect::<Vec<_>>());
        // Receipts are read in one piece, whichever is asked for.
        let hash = block.hashes[block.hashes.len() - 1];
        let facts = [EthereumFact::Receipt { hash, log: None }, EthereumFact::TransactionCount {}];
        let material = source.proof_material(of(&facts)).await.unwrap();
        let count = block.hashes.len() as u64;
        assert_eq!(shown(&material).facts()[0], Claim::TransactionCount { count });
        assert!(
            matches!(shown(&material).facts()[1], Claim::Receipt { index, .. } if index == count - 1)
        );
    }
}

#[tokio::test]
async fn all_logs_of_a_contract_are_those_that_the_receipts_hold() {
    for block in load() {
        let logs =
            |receipt: &Value| serde_json::from_value::<Vec<Log>>(receipt["logs"].clone()).unwrap();
        let all: Vec<Log> = block.receipts.iter().flat_map(logs).collect();
        let Some(address) = all.first().map(|log| log.inner.address) else { continue };
        let expected: Vec<_> = all.iter().filter(|log| log.inner.address == address).collect();
        let fact = EthereumFact::Logs { address, topic: None };
        let height = block.number();
        let request = ProofRequest::Ethereum { facts: vec![fact], block: Some(height), via: None };
        let material = block.clone().ask(request).await.unwrap();
        let Claim::Logs { logs, .. } = shown(&material) else { panic!() };
        assert_eq!(logs.len(), expected.len());
        for (found, expected) in logs.iter().zip(expected) {
            let (topics, data) = expected.inner.data.clone().split();
            assert_eq!((&found.log.topics, &found.log.data), (&topics, &data));
        }
        // With a transaction of another block's height the request contradicts itself.
        let facts = vec![EthereumFact::Transaction { hash: block.hashes[0] }, fact];
        let request = ProofRequest::Ethereum { facts, block: Some(height + 1), via: None };
        let error = block.ask(request).await.unwrap_err();
        assert!(matches!(error, AdapterError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn facts_of_two_blocks_are_not_one_proof() {
    if let [first, second, ..] = load().as_slice() {
        let facts =
            [first, second].map(|block| EthereumFact::Receipt { hash: block.hashes[0], log: None });
        let mut block = first.clone();
        block.elsewhere = Some((second.hashes[0], second.hash));
        let error = block.ask(of(&facts)).await.unwrap_err();
        assert!(error.to_string().contains("one proof is about one block"), "{error}");
        let log = Some(u64::MAX);
        let fact = EthereumFact::Receipt { hash: first.hashes[0], log };
        let error = first.clone().ask(of(&[fact])).await.unwrap_err();
        assert!(error.to_string().contains("counted from 0"), "{error}");
    }
}

#[tokio::test]
async fn nodes_without_the_receipt_list_or_with_unknown_types_still_serve() {
    if let Some(mut block) = load().into_iter().min_by_key(|block| block.raw.len()) {
        let hash = block.hashes[1];
        block.whole = false;
        block.clone().ask(of(&[EthereumFact::Receipt { hash, log: None }])).await.unwrap();
        block.transactions[0] = json!({"type": "0x7e", "sourceHash": B256::ZERO});
        block.ask(of(&[EthereumFact::Transaction { hash }])).await.unwrap();
    }
}

#[tokio::test]
async fn wrong_lists_are_refused() {
    for block in load() {
        let hash = block.hashes[1];
        let receipt = of(&[EthereumFact::Receipt { hash, log: None }]);

        let mut dropped = block.clone();
        dropped.receipts.pop();
        let error = dropped.ask(receipt.clone()).await.unwrap_err();
        assert!(matches!(error, AdapterError::BadAnswer { .. }), "{error:?}");

        let mut swapped = block.clone();
        swapped.receipts.swap(0, 1);
        let error = swapped.ask(receipt.clone()).await.unwrap_err();
        assert!(matches!(error, AdapterError::BadAnswer { .. }), "{error:?}");

        let mut edited = block.clone();
        edited.receipts[0]["cumulativeGasUsed"] = "0x1".into();
        let error = edited.ask(receipt).await.unwrap_err();
        assert!(matches!(error, AdapterError::RootMismatch { what: "receipts", .. }), "{error:?}");

        let mut short = block.clone();
        short.transactions.pop();
        let error = short.ask(of(&[EthereumFact::Transaction { hash }])).await.unwrap_err();
        assert!(matches!(error, AdapterError::RootMismatch { .. }), "{error:?}");

        let mut shifted = block;
        shifted.transactions.swap(1, 0);
        let error = shifted.ask(of(&[EthereumFact::Transaction { hash }])).await.unwrap_err();
        assert!(error.to_string().contains("not at its claimed place"), "{error:?}");
    }
}
