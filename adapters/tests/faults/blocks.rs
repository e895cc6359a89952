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
    ethereum::{decode_header, mpt},
    proof::Inclusion,
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
    Block { header, hash, raw, hashes, transactions, receipts, whole: true }
}

impl Block {
    fn place(&self, hash: &Value) -> usize {
        let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
        self.hashes.iter().position(|other| *other == hash).unwrap()
    }

    fn call(&self, method: &str, params: &Value) -> Outcome {
        Ok(match method {
            "eth_chainId" => "0x1".into(),
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

#[tokio::test]
async fn transactions_and_receipts_of_every_type_are_proven() {
    for block in load() {
        let (_fake, source) = block.clone().serve().await;
        for place in places(&block) {
            let hash = block.hashes[place];
            let request = ProofRequest::EthTransaction { hash };
            let material = source.proof_material(request).await.unwrap();
            let Inclusion::Transaction { index, nodes } = material.inclusion else { panic!() };
            let proven = mpt::verify_transaction(material.header.txRoot, index, &nodes).unwrap();
            assert_eq!((index, proven), (place as u64, block.raw[place].to_vec()));
        }
        // Receipts are read in one piece, whichever is asked for.
        let hash = block.hashes[block.hashes.len() - 1];
        let request = ProofRequest::EthReceipt { hash, log: None };
        let material = source.proof_material(request).await.unwrap();
        let Inclusion::Receipt { index, nodes, log } = material.inclusion else { panic!() };
        mpt::verify_receipt(material.header.receiptsRoot, index, &nodes, log).unwrap();
    }
}

#[tokio::test]
async fn nodes_without_the_receipt_list_or_with_unknown_types_still_serve() {
    if let Some(mut block) = load().into_iter().min_by_key(|block| block.raw.len()) {
        let hash = block.hashes[1];
        block.whole = false;
        block.clone().ask(ProofRequest::EthReceipt { hash, log: None }).await.unwrap();
        block.transactions[0] = json!({"type": "0x7e", "sourceHash": B256::ZERO});
        block.ask(ProofRequest::EthTransaction { hash }).await.unwrap();
    }
}

#[tokio::test]
async fn wrong_lists_are_refused() {
    for block in load() {
        let hash = block.hashes[1];
        let receipt = ProofRequest::EthReceipt { hash, log: None };

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
        let error = short.ask(ProofRequest::EthTransaction { hash }).await.unwrap_err();
        assert!(matches!(error, AdapterError::RootMismatch { .. }), "{error:?}");

        let mut shifted = block;
        shifted.transactions.swap(1, 0);
        let error = shifted.ask(ProofRequest::EthTransaction { hash }).await.unwrap_err();
        assert!(error.to_string().contains("not at its claimed place"), "{error:?}");
    }
}
