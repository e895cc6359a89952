//! `eth_subscribe` over WebSocket: new blocks and matching logs, which is how providers wait.

use std::{sync::Arc, time::Duration};

use alloy_rpc_types_eth::{Filter, Header};
use jsonrpsee::{PendingSubscriptionSink, RpcModule, SubscriptionSink, core::to_json_raw_value};
use serde::Serialize;
use serde_json::Value;

use super::{
    RpcError,
    args::Args,
    context::{Context, header},
    logs::{check_size, logs_of},
};

/// A subscriber that is further behind than this is told of the newest blocks only.
const MAX_BEHIND: u64 = 1_000;
/// A subscriber that takes nothing for this long is dropped.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// What is subscribed to.
#[derive(Clone)]
enum Topic {
    NewHeads,
    Logs(Arc<Filter>),
}

/// Adds `eth_subscribe` and `eth_unsubscribe`.
pub(super) fn register(module: &mut RpcModule<Context>) {
    let added = module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, context, _| async move {
            match topic(&params) {
                Ok(topic) => follow(pending, context, topic).await,
                Err(error) => pending.reject(error).await,
            }
        },
    );
    debug_assert!(added.is_ok(), "eth_subscribe is registered twice");
}

fn topic(params: &jsonrpsee::types::Params<'_>) -> Result<Topic, RpcError> {
    let mut args = Args::parse(params, 2)?;
    let name = args.required::<String>("topic")?;
    match name.as_str() {
        "newHeads" => Ok(Topic::NewHeads),
        "logs" => {
            let filter = args.optional::<Filter>("filter")?.unwrap_or_default();
            check_size(&filter)?;
            Ok(Topic::Logs(Arc::new(filter)))
        }
        other => Err(RpcError::params(format!(
            "topic {other:?} is not supported; known are newHeads and logs"
        ))),
    }
}

/// Sends every block from now on, until the connection closes or falls asleep.
async fn follow(pending: PendingSubscriptionSink, context: Arc<Context>, topic: Topic) {
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
            let read = tokio::task::spawn_blocking(move || notices(&context, &topic, height));
            let Ok(Ok(notices)) = read.await else {
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
    }
}
