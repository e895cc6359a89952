//! `eth_subscribe` over WebSocket: new blocks, matching logs and waiting transactions, which is how providers
//! wait; and whether the node is syncing.

use std::{sync::Arc, time::Duration};

use alloy_rpc_types_eth::{
    Filter, Header, SyncStatus, Transaction, TransactionInfo,
    pubsub::{PubSubSyncStatus, SyncStatusMetadata},
};
use jsonrpsee::{PendingSubscriptionSink, RpcModule, SubscriptionSink, core::to_json_raw_value};
use serde::Serialize;
use serde_json::Value;

use super::{
    Method, RpcError,
    args::Args,
    budget::Deadline,
    context::{Context, header},
    logs::{check_size, logs_of},
    method::Param,
    optional, required,
    server::MAX_SUBSCRIPTIONS,
};

/// A subscriber that is further behind than this is told of the newest blocks only.
const MAX_BEHIND: u64 = 1_000;
/// Waiting transactions that are taken out of the mempool at once.
const MAX_AT_ONCE: usize = 256;
/// A subscriber that takes nothing for this long is dropped.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// What is subscribed to.
#[derive(Clone)]
enum Topic {
    NewHeads,
    Logs(Arc<Filter>),
    Pending { full: bool },
    Syncing,
}

const TOPIC: &[Param] = &[required("topic", "Topic"), optional("filter", "TopicOption")];

/// Adds `eth_subscribe` and `eth_unsubscribe`, and describes them.
pub(super) fn register(module: &mut RpcModule<Context>) -> [Method; 2] {
    let (subscribe, unsubscribe) = ("eth_subscribe", "eth_unsubscribe");
    let added = module.register_subscription(
        subscribe,
        "eth_subscription",
        unsubscribe,
        |params, pending, context, _| async move {
            context.chain.metrics().rpc_calls_total.inc();
            match topic(&params) {
                Ok(Topic::Pending { full }) => follow_mempool(pending, context, full).await,
                Ok(Topic::Syncing) => follow_syncing(pending, context).await,
                Ok(topic) => follow_blocks(pending, context, topic).await,
                Err(error) => pending.reject(error).await,
            }
        },
    );
    debug_assert!(added.is_ok(), "{subscribe} is registered twice");
    let summary = "Over a WebSocket: notices named eth_subscription of every new block, of its logs that match a filter, of transactions that come to wait (their hashes, or all of them if the second parameter is true), or of whether the node is syncing: at once, and at every change.";
    let limits = format!(
        "{MAX_SUBSCRIPTIONS} subscriptions of one connection; who is more than {MAX_BEHIND} blocks behind hears of the newest only"
    );
    [
        Method::new(subscribe, TOPIC, "SubscriptionId", summary).limits(limits),
        Method::new(
            unsubscribe,
            &[required("subscription", "SubscriptionId")],
            "Boolean",
            "Ends a subscription of this connection; false if there was none.",
        ),
    ]
}

fn topic(params: &jsonrpsee::types::Params<'_>) -> Result<Topic, RpcError> {
    let mut args = Args::parse(params, TOPIC.into(), Deadline::after(Duration::ZERO))?;
    let name = args.required::<String>()?;
    match name.as_str() {
        "newHeads" => Ok(Topic::NewHeads),
        "logs" => {
            let filter = args.optional::<Filter>()?.unwrap_or_default();
            check_size(&filter)?;
            Ok(Topic::Logs(Arc::new(filter)))
        }
        "newPendingTransactions" => Ok(Topic::Pending { full: args.optional()?.unwrap_or(false) }),
        "syncing" => Ok(Topic::Syncing),
        other => Err(RpcError::params(format!(
            "topic {other:?} is not supported; known are newHeads, logs, newPendingTransactions and syncing"
        ))),
    }
}

/// Sends every transaction that comes to wait from now on.
async fn follow_mempool(pending: PendingSubscriptionSink, context: Arc<Context>, full: bool) {
    let mut arrived = context.chain.mempool().arrived();
    let mut next = *arrived.borrow_and_update();
    let Ok(sink) = pending.accept().await else { return };
    loop {
        tokio::select! {
            () = sink.closed() => return,
            changed = arrived.changed() => if changed.is_err() {
                return;
            },
        }
        loop {
            let (waiting, after) = context.chain.mempool().since(next, MAX_AT_ONCE);
            next = after;
            if waiting.is_empty() {
                break;
            }
            for one in waiting {
                let sent = if full {
                    send(&sink, &Transaction::from_transaction(one, TransactionInfo::default()))
                        .await
                } else {
                    send(&sink, one.tx_hash()).await
                };
                if !sent {
                    return;
                }
            }
        }
    }
}

/// Sends whether the node is syncing: at once, and at every change.
async fn follow_syncing(pending: PendingSubscriptionSink, context: Arc<Context>) {
    let (mut engine, mut heads) = (context.health.engine.clone(), context.chain.heads());
    let Ok(sink) = pending.accept().await else { return };
    let mut told = None;
    loop {
        let status = sync_status(&context.syncing());
        let syncing = matches!(status, PubSubSyncStatus::Detailed(_));
        if told != Some(syncing) {
            if !send(&sink, &status).await {
                return;
            }
            told = Some(syncing);
        }
        let changed = tokio::select! {
            () = sink.closed() => return,
            changed = engine.changed() => changed,
            changed = heads.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// The answer of `eth_syncing` as a notice.
fn sync_status(status: &SyncStatus) -> PubSubSyncStatus {
    match status {
        SyncStatus::None => PubSubSyncStatus::Simple(false),
        SyncStatus::Info(info) => PubSubSyncStatus::Detailed(SyncStatusMetadata {
            syncing: true,
            starting_block: info.starting_block.saturating_to(),
            current_block: info.current_block.saturating_to(),
            highest_block: Some(info.highest_block.saturating_to()),
        }),
    }
}

/// Sends every block from now on, until the connection closes or falls asleep.
async fn follow_blocks(pending: PendingSubscriptionSink, context: Arc<Context>, topic: Topic) {
    let mut heads = context.chain.heads();
    let mut last = heads.borrow_and_update().height;
    let Ok(sink) = pending.accept().await else { return };
    loop {
        let head = tokio::select! {
            () = sink.closed() => return,
            changed = heads.changed() => match changed {
                Ok(()) => heads.borrow_and_update().height,
                Err(_) => return,
            },
        };
        let first = last.saturating_add(1).max(head.saturating_sub(MAX_BEHIND));
        for height in first..=head {
            let (context, topic) = (context.clone(), topic.clone());
            let working = context.clone();
            let read = context.budget.notify(move || notices(&working, &topic, height));
            let Ok(notices) = read.await else {
                tracing::warn!(height, "a subscription ends: its block could not be read");
                return;
            };
            for notice in notices {
                if !send(&sink, &notice).await {
                    return;
                }
            }
        }
        last = head;
    }
}

async fn send(sink: &SubscriptionSink, notice: &impl Serialize) -> bool {
    let Ok(message) = to_json_raw_value(notice) else { return false };
    sink.send_timeout(message, SEND_WITHIN).await.is_ok()
}

/// What to tell of a block.
fn notices(context: &Context, topic: &Topic, height: u64) -> Result<Vec<Value>, RpcError> {
    let view = context.view()?;
    let value = |shown: serde_json::Result<Value>| {
        shown.map_err(|error| RpcError::internal(error.to_string()))
    };
    match topic {
        Topic::NewHeads => {
            let header = Header::new(header(&view, height)?.0);
            Ok(vec![value(serde_json::to_value(header))?])
        }
        Topic::Logs(filter) => {
            let logs = logs_of(&view, filter, height)?;
            logs.into_iter().map(|log| value(serde_json::to_value(log))).collect()
        }
        Topic::Pending { .. } | Topic::Syncing => Ok(Vec::new()),
    }
}
