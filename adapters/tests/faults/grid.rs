//! A node of a Grid chain that lies about its certificates. Good ones come from real nodes.

use std::sync::{Arc, Mutex};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue as _;
use grid_adapters::{AdapterError, FinalityChain as _, grid::GridSource};
use grid_core::{
    ChainId,
    api::SyncStatus,
    grid::{
        CommitCertificate, Extension, Validator, ValidatorSet,
        light::{HandOver, LightBlock},
    },
};
use serde_json::{Value, json};

use crate::fake::{Fake, no_rest};

const CHAIN: u64 = 8_001;
/// Height of the node's newest block.
const TIP: u64 = 5_000;

fn set() -> ValidatorSet {
    ValidatorSet::new(vec![Validator { account: Address::repeat_byte(1), power: 1 }]).unwrap()
}

fn header() -> Header {
    let extension = Extension {
        version: 1,
        timeMs: 9_000_000,
        indexRoot: B256::ZERO,
        validatorsHash: set().hash(),
        nextValidatorsHash: set().hash(),
        collectionHash: B256::ZERO,
        extra: Bytes::new(),
    };
    Header {
        number: TIP,
        timestamp: 9_000,
        base_fee_per_gas: Some(7),
        extra_data: extension.abi_encode().into(),
        ..Header::default()
    }
}

/// A block that nobody signed.
fn unsigned() -> LightBlock {
    let header = header();
    let (height, block_hash) = (header.number, header.hash_slow());
    LightBlock {
        header: alloy_rlp::encode(header).into(),
        certificate: CommitCertificate { height, round: 0, block_hash, signatures: Vec::new() },
        validators: set(),
        next_validators: None,
    }
}

/// A node with this hand-over, and the questions for it.
async fn node(way: HandOver) -> (Fake, Arc<Mutex<Vec<Value>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let call = move |method: &str, params: &Value| match method {
        "eth_chainId" => Ok(format!("{CHAIN:#x}").into()),
        "eth_syncing" => Ok(false.into()),
        "eth_getBlockByNumber" => {
            let mut block =
                serde_json::to_value(alloy_rpc_types_eth::Header::new(header())).unwrap();
            (block["transactions"], block["uncles"]) = (json!([]), json!([]));
            Ok(block)
        }
        "grid_handOver" => {
            noted.lock().unwrap().push(params.clone());
            Ok(serde_json::to_value(&way).unwrap())
        }
        _ => Err((-32_601, "no such method")),
    };
    (Fake::rpc(call, no_rest).await, asked)
}

fn source(fake: &Fake) -> GridSource {
    GridSource::new(ChainId::eip155(CHAIN), fake.endpoint()).unwrap()
}

fn position(finalized_slot: u64, wanted: Vec<B256>) -> SyncStatus {
    let block = grid_core::api::BlockRef { height: finalized_slot, hash: B256::ZERO };
    SyncStatus {
        started: true,
        checkpoint: B256::ZERO,
        finalized_slot,
        finalized_root: B256::ZERO,
        finalized_time: 0,
        period: 0,
        next_committee_known: true,
        wanted,
        pending: 0,
        missing_above: block,
        lowest_pending: None,
        loosened: Vec::new(),
        expires_at: 0,
    }
}

#[tokio::test]
async fn certificates_that_nobody_signed_and_those_of_another_chain_are_refused() {
    let lies = [
        (HandOver { chain_id: CHAIN, blocks: vec![unsigned()] }, "power"),
        (HandOver { chain_id: CHAIN + 1, blocks: Vec::new() }, "chain 8002, expected 8001"),
    ];
    for (lie, reason) in lies {
        let (fake, _) = node(lie).await;
        let error = source(&fake).finality_data(&position(1, Vec::new())).await.unwrap_err();
        assert!(matches!(error, AdapterError::BadAnswer { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_step_is_short_and_nothing_is_asked_where_nothing_is_missing() {
    let (fake, asked) = node(HandOver { chain_id: CHAIN, blocks: Vec::new() }).await;
    let source = source(&fake);
    let cases = [(1, vec![B256::repeat_byte(1)], None), (TIP, vec![], None)];
    let steps = [(1, vec![], Some(1_025)), (TIP - 3, vec![], Some(TIP))];
    for (from, wanted, to) in cases.into_iter().chain(steps) {
        source.finality_data(&position(from, wanted)).await.unwrap();
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        assert_eq!(asked, to.map(|to| json!([from, to])).into_iter().collect::<Vec<_>>());
    }
    let namespace = "bip122:000000000019d6689c085ae165831e93".parse().unwrap();
    assert!(GridSource::new(namespace, fake.endpoint()).is_err());
}
