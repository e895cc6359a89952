//! Epochs under the real engine.

use alloy_primitives::{Address, U128, U256};
use alloy_sol_types::SolCall;
use grid_core::{
    modules::abi::{STAKING, Staking},
    staking::{GenesisDelegate, StakingGenesis, StakingParams},
};
use serde_json::json;

use super::support::*;
use crate::NodeHandle;

const BOND: u64 = 1_000_000;

async fn read<C: SolCall>(node: &NodeHandle, call: &C) -> C::Return {
    let message =
        json!({"to": STAKING, "input": alloy_primitives::hex::encode_prefixed(call.abi_encode())});
    let answer = ask(node, "eth_call", json!([message, "latest"])).await;
    let bytes = alloy_primitives::hex::decode(answer.as_str().unwrap()).unwrap();
    C::abi_decode_returns(&bytes).unwrap()
}

async fn delegate(node: &NodeHandle, account: Address) -> Staking::delegateInfoReturn {
    read(node, &Staking::delegateInfoCall { delegate: account }).await
}

/// A validator that decides alone earns by what it shows itself; a small one beside it that never signs gets a seat
/// and loses it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_validator_is_counted_and_an_absent_one_is_jailed() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.genesis.alloc.insert(address(1), U256::from(10u64).pow(U256::from(18)));
    config.genesis.staking = Some(StakingGenesis {
        params: StakingParams {
            epoch_length: 24,
            max_validators: 2,
            min_self_bond: U128::from(BOND / 100),
            unbonding_epochs: 1,
            block_reward: U128::from(1_000),
            min_counted: 4,
            ..StakingParams::default()
        },
        reserve: U128::from(BOND),
        delegates: vec![GenesisDelegate {
            account: address(1),
            owner: address(3),
            commission: 2_500,
            bond: U128::from(BOND),
        }],
    });
    let registry = config.metrics.clone();
    let node = start(config).await;
    let register = Staking::registerCall { owner: address(2), commission: 0 }.abi_encode();
    let entered = send(&node, &sign(0, STAKING, BOND / 100, register.into(), 500_000)).await;
    assert_eq!(entered["status"], "0x1", "{entered}");

    let mut heads = node.heads();
    let jailed = async {
        let mut had_seat = false;
        loop {
            heads.changed().await.unwrap();
            let set = heads.borrow_and_update().next_validators.clone();
            match (had_seat, set.power(&address(2))) {
                (true, None) => break,
                (_, power) => had_seat |= power.is_some(),
            }
        }
    };
    tokio::time::timeout(DEADLINE, jailed).await.unwrap();
    let absent = delegate(&node, address(2)).await;
    assert!(absent.jailedUntil > 0 && !absent.candidate);
    assert_eq!(absent.tokens, U256::from(BOND / 100), "no reward, no loss");
    let present = delegate(&node, address(1)).await;
    assert!(present.tokens > U256::from(BOND));
    assert_ne!(ask(&node, "eth_getBalance", json!([address(3), "latest"])).await, "0x0");
    let families = registry.gather();
    let sent = families.iter().find(|one| one.name() == "grid_node_attendance_sent_total").unwrap();
    assert!(sent.get_metric()[0].get_counter().get_value() >= 8.0);
    stop(node).await;
}
