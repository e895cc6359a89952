//! Reading and calling the staking contract.

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    api::AccountInfo,
    grid::ValidatorSet,
    modules::abi::{STAKING, Staking},
};
use grid_test_nodes::{cluster::account::Message, wait_for};
use serde_json::{Value, json};

use crate::support::{LIMIT, World};

/// Gas for any call of the contract.
const GAS: u64 = 3_000_000;

impl World {
    /// Asks the first node that runs.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        let node = self.cluster.running()[0];
        let answer = self.cluster.rpc(node).call(method, params).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Reads the staking contract.
    pub(crate) async fn read<C: SolCall>(&self, call: &C) -> C::Return {
        let data = hex::encode_prefixed(call.abi_encode());
        let answer = self.ask("eth_call", json!([{ "to": STAKING, "data": data }, "latest"])).await;
        let answer: Bytes = serde_json::from_value(answer).expect("bytes");
        C::abi_decode_returns(&answer).expect("the ABI")
    }

    /// Calls the staking contract and waits for success.
    pub(crate) async fn stake(&self, from: &PrivateKeySigner, value: U256, call: &impl SolCall) {
        self.send(from, STAKING, value, call.abi_encode().into()).await;
    }

    /// Sends a transaction until one is final. The account may send others at the same time, as a validator's node does:
    /// where one of those took the nonce, it is sent again with the next.
    pub(crate) async fn send(
        &self,
        from: &PrivateKeySigner,
        to: Address,
        value: U256,
        input: Bytes,
    ) {
        let started = Instant::now();
        loop {
            let account = self.account(from.address()).await;
            let (chain_id, nonce) = (self.cluster.genesis().chain_id, account.pending_nonce);
            let message = Message { chain_id, nonce, to, value, input: input.clone(), gas: GAS };
            let signed = message.sign(from).expect("signs");
            let raw = hex::encode_prefixed(signed.encoded_2718());
            let node = self.cluster.running()[0];
            drop(self.cluster.rpc(node).call("eth_sendRawTransaction", json!([raw])).await);
            let waited = self.cluster.receipt(*signed.tx_hash(), Duration::from_secs(15)).await;
            match waited {
                Ok(receipt) => return assert_eq!(receipt["status"], "0x1", "{receipt}"),
                Err(error) => assert!(started.elapsed() < LIMIT, "{error}"),
            }
        }
    }

    async fn account(&self, address: Address) -> AccountInfo {
        let answer = self.ask("grid_account", json!([address])).await;
        serde_json::from_value(answer).expect("an account")
    }

    /// Who decides the next block.
    pub(crate) async fn set(&self) -> ValidatorSet {
        serde_json::from_value(self.ask("grid_validators", json!([])).await).expect("a set")
    }

    /// Waits until an address is in the set of the next block, or is not.
    pub(crate) async fn wait_elected(&self, address: Address, elected: bool) {
        let what = format!("{address} in the set: {elected}");
        let look = async || {
            let set = self.set().await;
            if set.power(&address).is_some() == elected { Ok(()) } else { Err(format!("{set:?}")) }
        };
        wait_for(what, LIMIT, look).await.expect("an election");
    }

    /// All that the contract holds of a delegate.
    pub(crate) async fn delegate(&self, delegate: Address) -> Staking::delegateInfoReturn {
        self.read(&Staking::delegateInfoCall { delegate }).await
    }

    /// Waits for an event of the staking contract about a delegate.
    pub(crate) async fn wait_event<E: SolEvent>(&self, delegate: Address) -> E {
        let topics: [B256; 2] = [E::SIGNATURE_HASH, delegate.into_word()];
        let filter = json!([{
            "fromBlock": "0x0", "toBlock": "latest", "address": STAKING, "topics": topics,
        }]);
        let look = async || {
            let logs = self.ask("eth_getLogs", filter.clone()).await;
            logs.as_array().and_then(|logs| logs.first().cloned()).ok_or_else(|| "none".to_owned())
        };
        let log = wait_for(E::SIGNATURE.to_owned(), LIMIT, look).await.expect("an event");
        let log: alloy_rpc_types_eth::Log = serde_json::from_value(log).expect("a log");
        E::decode_log(&log.inner).expect("the event").data
    }
}
