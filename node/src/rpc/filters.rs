//! Filters that are asked again and again: `eth_newFilter` and its kind, for clients without a WebSocket.
//!
//! Their number is bounded and they expire. Ids are random, so that nobody guesses another's.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::{B256, U128};
use alloy_rpc_types_eth::{Filter, Log};
use serde::Serialize;

use super::{
    Method, Methods, RpcError,
    args::Args,
    context::{Context, header},
    error,
    logs::{self, MAX_LOG_BLOCKS},
    method::Param,
    required,
};

const ID: Param = required("filter id", "FilterId");

/// What is asked for.
#[derive(Debug, Clone)]
enum Topic {
    Blocks,
    Logs(Box<Filter>),
    Pending,
}

/// Most transactions of one answer; the next one continues.
const MAX_PENDING: usize = 10_000;

/// A filter and how far its owner has read.
#[derive(Debug, Clone)]
struct Cursor {
    topic: Topic,
    /// The first block or arrival that was not told yet.
    next: u64,
    asked: Instant,
}

/// All filters of a group of callers.
#[derive(Debug)]
pub(super) struct Filters {
    most: usize,
    lifetime: Duration,
    open: Mutex<HashMap<U128, Cursor>>,
}

/// What is new.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<Log>),
}

impl Filters {
    pub(super) fn new(most: usize, lifetime: Duration) -> Self {
        Self { most, lifetime, open: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<U128, Cursor>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, topic: Topic, next: u64, now: Instant) -> Result<U128, RpcError> {
        let mut open = self.lock();
        open.retain(|_, one| now.saturating_duration_since(one.asked) < self.lifetime);
        if open.len() >= self.most {
            return Err(RpcError::limit(format!(
                "{} filters are open; close some, or subscribe over a WebSocket",
                open.len()
            )));
        }
        let id = U128::from(rand::random::<u128>());
        open.insert(id, Cursor { topic, next, asked: now });
        Ok(id)
    }

    fn find(&self, id: &U128, now: Instant) -> Result<Cursor, RpcError> {
        let mut open = self.lock();
        let found = open
            .get_mut(id)
            .filter(|one| now.saturating_duration_since(one.asked) < self.lifetime)
            // Ethereum's clients use these words, and libraries look for them.
            .ok_or_else(|| RpcError::refused("filter not found: it was closed, or has expired"))?;
        found.asked = now;
        Ok(found.clone())
    }

    fn read_up_to(&self, id: &U128, next: u64) {
        if let Some(one) = self.lock().get_mut(id) {
            one.next = one.next.max(next);
        }
    }
}

pub(super) fn register(methods: &mut Methods) {
    let most = "the number of open filters; five minutes without a question close one";
    let summary = "Opens a filter for logs of blocks from now on and answers its id.";
    let params = &[required("filter", "Filter")];
    let method = Method::new("eth_newFilter", params, "FilterId", summary);
    methods.add(method.limits(format!("{}; {most}", logs::limits())), |context, args| {
        let filter = args.required::<Filter>()?;
        logs::check_size(&filter)?;
        let next = context.view()?.height().saturating_add(1);
        context.filters.open(Topic::Logs(Box::new(filter)), next, Instant::now())
    });
    let summary = "Opens a filter for hashes of new blocks and answers its id.";
    let method = Method::new("eth_newBlockFilter", &[], "FilterId", summary);
    methods.add(method.limits(most), |context, _| {
        let next = context.view()?.height().saturating_add(1);
        context.filters.open(Topic::Blocks, next, Instant::now())
    });
    let summary =
        "Opens a filter for hashes of transactions that come to wait, and answers its id.";
    let method = Method::new("eth_newPendingTransactionFilter", &[], "FilterId", summary);
    methods.add(method.limits(most), |context, _| {
        let next = *context.chain.mempool().arrived().borrow();
        context.filters.open(Topic::Pending, next, Instant::now())
    });
    let summary = "What is new since the last question: hashes of blocks or of waiting transactions, or logs.";
    let method = Method::new("eth_getFilterChanges", &[ID], "FilterChanges", summary);
    methods.add(method.heavy().fails(&[error::REFUSED]), changes);
    let summary = "All logs that match a filter for logs, as eth_getLogs finds them.";
    let method = Method::new("eth_getFilterLogs", &[ID], "[Log]", summary);
    let method = method.heavy().fails(&[error::REFUSED, error::NOT_FOUND]).limits(logs::limits());
    methods.add(method, |context, args| {
        let found = context.filters.find(&args.required()?, Instant::now())?;
        let Topic::Logs(filter) = found.topic else {
            return Err(RpcError::params("this filter is not one for logs"));
        };
        let view = context.view()?;
        let (first, last) = logs::range(&view, &filter)?;
        logs::search(&view, &filter, first, last, args.deadline())
    });
    let summary = "Closes a filter; false if there was none.";
    let method = Method::new("eth_uninstallFilter", &[ID], "Boolean", summary);
    methods.add(method, |context, args| {
        let id = args.required::<U128>()?;
        Ok(context.filters.lock().remove(&id).is_some())
    });
}

fn changes(context: &Context, args: &mut Args) -> Result<Changes, RpcError> {
    let id = args.required::<U128>()?;
    let Cursor { topic, next, .. } = context.filters.find(&id, Instant::now())?;
    if matches!(topic, Topic::Pending) {
        let (waiting, next) = context.chain.mempool().since(next, MAX_PENDING);
        context.filters.read_up_to(&id, next);
        return Ok(Changes::Hashes(waiting.iter().map(|one| *one.tx_hash()).collect()));
    }
    let view = context.view()?;
    let head = view.height();
    // Who comes back late hears of the newest blocks only.
    let first = next.max(head.saturating_sub(MAX_LOG_BLOCKS));
    let found = if let Topic::Logs(filter) = topic {
        let (first, last) = logs::within(&filter, first, head);
        Changes::Logs(logs::search(&view, &filter, first, last, args.deadline())?)
    } else {
        let hash = |height| Ok(header(&view, height)?.1);
        Changes::Hashes((first..=head).map(hash).collect::<Result<_, RpcError>>()?)
    };
    context.filters.read_up_to(&id, head.saturating_add(1));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_lives_from_one_question_to_the_next_and_then_gives_way() {
        let (start, lifetime) = (Instant::now(), Duration::from_secs(300));
        let at = |seconds| start + Duration::from_secs(seconds);
        let filters = Filters::new(2, lifetime);
        let kept = filters.open(Topic::Blocks, 1, at(0)).unwrap();
        let left = filters.open(Topic::Blocks, 1, at(0)).unwrap();
        filters.find(&kept, at(299)).unwrap();
        assert!(filters.open(Topic::Blocks, 1, at(299)).is_err(), "two are open");
        assert!(filters.find(&left, at(300)).is_err());
        filters.open(Topic::Blocks, 1, at(300)).unwrap();
        filters.find(&kept, at(598)).unwrap();
        assert!(filters.find(&kept, at(898)).is_err());
    }
}
