//! `txpool_*`: what waits for a block.

use std::collections::BTreeMap;

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, U64};
use alloy_rpc_types_eth::{Transaction, TransactionInfo};
use serde::Serialize;

use super::{Method, Methods, required};

/// Transactions by nonce, in decimal as Ethereum's clients write it.
type ByNonce = BTreeMap<String, Transaction>;

/// Two groups: those that continue their sender's nonce, and those behind a gap.
#[derive(Debug, Clone, Serialize)]
struct Groups<T> {
    pending: T,
    queued: T,
}

pub(super) fn register(methods: &mut Methods) {
    let summary = "How many transactions wait: pending ones continue their sender's nonce, queued ones are behind a gap.";
    methods.add(Method::new("txpool_status", &[], "PoolStatus", summary), |context, _| {
        let status = context.chain.mempool().status();
        let count = |count: usize| U64::from(count);
        Ok(Groups { pending: count(status.pending), queued: count(status.queued) })
    });
    let summary = "Every waiting transaction by sender and nonce.";
    let method = Method::new("txpool_content", &[], "PoolContent", summary);
    methods.add(method.heavy(), |context, _| {
        let content = context.chain.mempool().content();
        let shown = |senders: BTreeMap<Address, Vec<Recovered<TxEnvelope>>>| {
            let shown = senders
                .into_iter()
                .map(|(sender, list)| (sender.to_checksum(None), by_nonce(list)));
            shown.collect::<BTreeMap<_, _>>()
        };
        Ok(Groups { pending: shown(content.pending), queued: shown(content.queued) })
    });
    let summary = "The waiting transactions of one sender by nonce.";
    let params = &[required("sender", "Address")];
    let method = Method::new("txpool_contentFrom", params, "PoolContentFrom", summary);
    methods.add(method.heavy(), |context, args| {
        let sender = args.required::<Address>()?;
        let mut content = context.chain.mempool().content();
        let pending = content.pending.remove(&sender).unwrap_or_default();
        let queued = content.queued.remove(&sender).unwrap_or_default();
        Ok(Groups { pending: by_nonce(pending), queued: by_nonce(queued) })
    });
}

fn by_nonce(list: Vec<Recovered<TxEnvelope>>) -> ByNonce {
    let shown = list.into_iter().map(|one| {
        let nonce = one.nonce().to_string();
        (nonce, Transaction::from_transaction(one, TransactionInfo::default()))
    });
    shown.collect()
}
