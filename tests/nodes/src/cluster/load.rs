//! Transfers as a steady load: each account sends a window of them, waits until all are final, and goes on. A node that
//! does not answer is left for the next; what it lost is sent again, the very same bytes, so that nothing is paid twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    SharedSeen,
    account::{self, Message},
    seen,
};
use crate::{NodeError, rpc::Rpc};

/// Between two looks at a receipt.
const POLL: Duration = Duration::from_millis(100);
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// After this many looks without a receipt everything is sent again, to the next node.
const LOOKS: u32 = 50;

/// How much load.
#[derive(Debug, Clone)]
pub struct LoadConfig {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// How many accounts send, from [`account::signer`]`(first)` on.
    pub accounts: std::ops::Range<usize>,
    /// Transfers of an account that are under way at once; the mempool takes 16 or more of a sender.
    pub window: u64,
}

/// Sends until it is dropped.
#[derive(Debug)]
pub struct Load {
    done: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Load {
    /// Starts sending to these nodes; blocks with transfers are noted in `seen`.
    pub fn start(config: &LoadConfig, nodes: &[Rpc], seen: &SharedSeen) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for at in config.accounts.clone() {
            let sender = Sender {
                chain_id: config.chain_id,
                window: config.window,
                signer: account::signer(at),
                nodes: nodes.to_vec(),
                node: at % nodes.len().max(1),
                seen: seen.clone(),
                done: Arc::clone(&done),
            };
            tasks.spawn(sender.run());
        }
        Self { done, _tasks: tasks }
    }

    /// Transfers that are final.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

/// One account.
struct Sender {
    chain_id: u64,
    window: u64,
    signer: PrivateKeySigner,
    nodes: Vec<Rpc>,
    /// The node that is asked.
    node: usize,
    seen: SharedSeen,
    done: Arc<AtomicU64>,
}

impl Sender {
    async fn run(mut self) {
        let mut nonce = None;
        loop {
            let first = match nonce {
                Some(nonce) => nonce,
                None => self.first_nonce().await,
            };
            let Ok(transfers) = self.sign(first) else { return };
            self.deliver(&transfers).await;
            nonce = Some(first + self.window);
        }
    }

    fn sign(&self, first: u64) -> Result<Vec<(B256, String)>, NodeError> {
        let transfer = |nonce| {
            let message = Message {
                chain_id: self.chain_id,
                nonce,
                to: Address::repeat_byte(0x55),
                value: U256::from(1),
                input: Bytes::new(),
                gas: 21_000,
            };
            let signed = message.sign(&self.signer)?;
            Ok((*signed.tx_hash(), hex::encode_prefixed(signed.encoded_2718())))
        };
        (first..first + self.window).map(transfer).collect()
    }

    /// Sends a window until all of it is final.
    async fn deliver(&mut self, transfers: &[(B256, String)]) {
        loop {
            for (_, raw) in transfers {
                // A node that knows it, or has it in a block, refuses it; the receipt decides.
                drop(self.call("eth_sendRawTransaction", json!([raw])).await);
            }
            if self.confirm(transfers).await.is_some() {
                return;
            }
            self.next_node().await;
        }
    }

    /// Reads the receipts, last first: the nonces say that the others are there then.
    async fn confirm(&self, transfers: &[(B256, String)]) -> Option<()> {
        let (last, _) = transfers.last()?;
        let mut looks = 0;
        while self.receipt(*last).await?.is_none() {
            looks += 1;
            if looks == LOOKS {
                return None;
            }
            sleep(POLL).await;
        }
        for (hash, _) in transfers {
            let (height, block) = self.receipt(*hash).await??;
            self.seen.transaction(height, block);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Some(())
    }

    /// The block of a transaction; outer `None` where the node does not answer.
    async fn receipt(&self, hash: B256) -> Option<Option<(u64, B256)>> {
        let rpc = &self.nodes[self.node];
        let found = timeout(PATIENCE, seen::receipt(rpc, hash)).await.ok()?.ok()?;
        let height = found["blockNumber"].as_str().and_then(quantity);
        let block = found["blockHash"].as_str().and_then(|hash| hash.parse().ok());
        Some(height.zip(block))
    }

    async fn first_nonce(&mut self) -> u64 {
        loop {
            let params = json!([self.signer.address(), "latest"]);
            let answer = self.call("eth_getTransactionCount", params).await;
            if let Some(nonce) = answer.as_ref().and_then(|answer| quantity(answer.as_str()?)) {
                return nonce;
            }
            self.next_node().await;
        }
    }

    async fn call(&self, method: &str, params: serde_json::Value) -> Option<serde_json::Value> {
        timeout(PATIENCE, self.nodes[self.node].call(method, params)).await.ok()?.ok()
    }

    /// A dead node refuses at once: asking the next one in no time would be a busy loop.
    async fn next_node(&mut self) {
        self.node = (self.node + 1) % self.nodes.len().max(1);
        sleep(POLL).await;
    }
}

fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
