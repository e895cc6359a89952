//! The facts: from the store, the main chain and the sources.

use core::{future::Future, time::Duration};

use alloy_primitives::B256;
use futures::future::join_all;
use grid_core::{ChainId, Family, api::ChainInfo};
use thiserror::Error;

use super::{
    Cost, Explanation, Moment, OnMain, Transaction,
    facts::{Before, Facts, Follow, Work},
    id::{Id, NoId, reversed},
    say::judge,
};
use crate::{
    clock::now_ms,
    crew,
    main_chain::{HeaderId, MainChain},
    relayer::Inner,
    status::ChainStatus,
    store::{Carried, Event, Item, Lease, Stage, Store, StoreError},
};

/// Longest wait for one answer of a chain.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest search for a hash that no row has.
const SEARCH: Duration = Duration::from_secs(8);

/// The main chain's view may be so old.
const FRESH: Duration = Duration::from_secs(2);

/// Newest headers of each source among which a hash is looked for.
const NEWEST: u64 = 64;

/// Most steps of a timeline.
const MAX_STEPS: u32 = 500;

/// Most transactions of one item.
const MAX_CARRIED: u32 = 100;

/// The newest of them, whose receipts are asked for.
const COSTED: usize = 8;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum ExplainError {
    #[error(transparent)]
    NoId(#[from] NoId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks everything up and says where it stands.
pub(crate) async fn explain(inner: &Inner, text: &str) -> Result<Explanation, ExplainError> {
    let id = Id::parse(text)?;
    let status = inner.status().await?;
    let mut facts = Facts {
        now: now_ms(),
        asked: text.trim().to_owned(),
        wallet: status.wallet.clone(),
        ..Facts::default()
    };
    let view = in_time(inner.shared().view(FRESH)).await.and_then(Result::ok);
    // After the question: it notes when the main chain answered.
    facts.main = inner.board().main();
    facts.registry_known = view.is_some();
    let item =
        find(inner, &id, &mut facts, view.as_deref().map(|view| view.chains.as_slice())).await?;
    facts.info =
        view.as_deref().zip(facts.chain.as_ref()).and_then(|(view, id)| view.chain(id)).cloned();
    let seen = status.chains.iter().find(|seen| Some(&seen.id) == facts.chain.as_ref());
    facts.follow = match seen.filter(|seen| seen.configured) {
        Some(seen) => Some(follow(inner, &facts, seen).await),
        None => None,
    };
    if let Some(item) = item {
        facts.work = Some(work(inner.store(), item, facts.now).await?);
    }
    ask_main_chain(inner, &mut facts).await;
    let (steps, carried) = match &facts.work {
        Some(Work { item, .. }) => (
            inner.store().history(&item.key, 0, MAX_STEPS).await?,
            inner.store().carried(&item.key, MAX_CARRIED).await?,
        ),
        None => (Vec::new(), facts.transaction.iter().cloned().collect()),
    };
    let transactions = costs(inner.main().as_ref(), carried).await;
    Ok(answer(facts, steps, transactions, seen))
}

/// Waits a while for a chain's answer; `None` after that.
async fn in_time<T>(answer: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, answer).await.ok()
}

/// The chain, height and item that a name stands for.
async fn find(
    inner: &Inner,
    id: &Id,
    facts: &mut Facts,
    chains: Option<&[ChainInfo]>,
) -> Result<Option<Item>, StoreError> {
    let store = inner.store();
    match id {
        Id::Key { key, chain } => {
            let item = store.item(key).await?;
            facts.chain = item.as_ref().map(|_| chain.clone());
            facts.height = item.as_ref().map(|item| item.last.height);
            facts.hash = item.as_ref().map(|item| item.last.hash);
            Ok(item)
        }
        Id::Height { chain, height } => {
            (facts.chain, facts.height) = (Some(chain.clone()), Some(*height));
            Ok(store.covering(chain, *height).await?.into_iter().next())
        }
        Id::Hash(hash) => by_hash(inner, *hash, facts, chains.unwrap_or_default()).await,
    }
}

async fn by_hash(
    inner: &Inner,
    hash: B256,
    facts: &mut Facts,
    chains: &[ChainInfo],
) -> Result<Option<Item>, StoreError> {
    let store = inner.store();
    if let Some((transaction, key)) = store.transaction(&hash).await? {
        facts.transaction = Some(transaction);
        let Some(key) = key else { return Ok(None) };
        let item = store.item(&key).await?;
        facts.chain = item.as_ref().map(|item| item.chain.clone());
        facts.height = item.as_ref().map(|item| item.last.height);
        return Ok(item);
    }
    for hash in [hash, reversed(hash)] {
        if let Some(item) = store.ending_with(&hash).await?.into_iter().next() {
            facts.chain = Some(item.chain.clone());
            (facts.height, facts.hash) = (Some(item.last.height), Some(hash));
            return Ok(Some(item));
        }
    }
    let search = tokio::time::timeout(SEARCH, known_header(inner, hash, chains)).await;
    let Some((chain, height, hash)) = search.ok().flatten() else { return Ok(None) };
    let item = store.covering(&chain, height).await?.into_iter().next();
    (facts.chain, facts.height, facts.hash) = (Some(chain), Some(height), Some(hash));
    Ok(item)
}

/// A header by its hash: in the main chain's index, or among the newest of the sources.
async fn known_header(
    inner: &Inner,
    hash: B256,
    chains: &[ChainInfo],
) -> Option<(ChainId, u64, B256)> {
    let shown = |family: Family| if family == Family::Bitcoin { reversed(hash) } else { hash };
    for info in chains {
        for hash in [shown(info.family), hash] {
            let asked = inner.main().header(&info.id, HeaderId::Hash(hash));
            if let Some(Ok(Some(found))) = in_time(asked).await {
                return Some((info.id.clone(), found.height, hash));
            }
        }
    }
    for source in inner.shared().sources() {
        let newest = in_time(async {
            let tip = source.tip().await.ok()?;
            let from = tip.height.saturating_sub(NEWEST - 1);
            source.headers(from, usize::try_from(NEWEST).unwrap_or(usize::MAX)).await.ok()
        });
        let found = newest
            .await
            .flatten()
            .unwrap_or_default()
            .into_iter()
            .find(|header| [hash, reversed(hash)].contains(&header.compat.blockHash));
        if let Some(found) = found {
            return Some((source.id().clone(), found.compat.height, found.compat.blockHash));
        }
    }
    None
}

/// The chain as it is followed here, and what its source has at the height.
async fn follow(inner: &Inner, facts: &Facts, seen: &ChainStatus) -> Follow {
    let sources = inner.shared().sources();
    let source = sources.iter().find(|source| *source.id() == seen.id);
    let active = match (source, facts.height) {
        (Some(source), Some(height)) => in_time(source.header_at(height))
            .await
            .and_then(Result::ok)
            .flatten()
            .map(|header| header.compat.blockHash),
        _ => None,
    };
    let held = seen.disagreement.as_ref().filter(|differ| differ.held);
    Follow {
        state: seen.state,
        reason: seen.reason.clone(),
        next_at: seen.next_at,
        pause: seen.paused.clone(),
        tip: seen.source,
        active,
        held_from: held.map(|differ| differ.height),
        holder: seen.holder.clone(),
        open: seen.items.iter().filter(|(stage, _)| stage.is_open()).map(|(_, count)| count).sum(),
    }
}

async fn work(store: &Store, item: Item, now: u64) -> Result<Work, StoreError> {
    let lease = store.lease(&item.key, now).await?;
    let lease = lease.map(|lease| Lease { holder: crew::name(&lease.holder).into(), ..lease });
    let before = match item.stage {
        Stage::Planned => store.before(&item).await?,
        _ => None,
    };
    let before = before.map(|before| Before { key: before.key, stage: before.stage });
    let newest = store.carried(&item.key, MAX_CARRIED).await?.pop();
    Ok(Work { item, lease, before, newest })
}

/// What the index holds at the height, and since when.
async fn ask_main_chain(inner: &Inner, facts: &mut Facts) {
    let (Some(info), Some(height)) = (&facts.info, facts.height) else { return };
    if height < info.first_height || info.confirmed.is_none_or(|tip| tip.height < height) {
        return;
    }
    let main = inner.main();
    let header = in_time(main.header(&info.id, HeaderId::Height(height)));
    let since = in_time(main.indexed_in(&info.id, height, facts.main.height));
    let (header, since) = tokio::join!(header, since);
    facts.indexed = header.and_then(Result::ok).flatten().map(|header| header.blockHash);
    facts.indexed_in = since.and_then(Result::ok).flatten();
}

/// What the newest transactions cost, as the main chain says.
async fn costs(main: &dyn MainChain, carried: Vec<Carried>) -> Vec<Transaction> {
    let old = carried.len().saturating_sub(COSTED);
    let cost = |(n, carried): (usize, Carried)| async move {
        let executed = n >= old && ["included", "failed"].contains(&carried.outcome.as_str());
        let receipt = if executed { in_time(main.receipt(&carried.hash)).await } else { None };
        let cost = receipt.and_then(Result::ok).flatten().map(Cost::from);
        Transaction { carried, cost }
    };
    join_all(carried.into_iter().enumerate().map(cost)).await
}

fn answer(
    facts: Facts,
    steps: Vec<(u64, Event)>,
    transactions: Vec<Transaction>,
    seen: Option<&ChainStatus>,
) -> Explanation {
    let said = judge(&facts);
    let main = facts.info.as_ref().map(|info| on_main(info, &facts));
    let reached = |height: u64| {
        let has = |at: Option<u64>| at.is_some_and(|at| at >= height);
        seen.into_iter()
            .flat_map(|seen| &seen.sources)
            .filter(move |source| source.healthy && has(source.height))
            .map(|source| source.name.clone())
            .collect()
    };
    let follow = facts.follow.as_ref();
    let (item, lease) = match facts.work {
        Some(Work { item, lease, .. }) => (Some(item), lease),
        None => (None, None),
    };
    Explanation {
        id: facts.asked,
        summary: said.sentence(),
        place: said.place,
        needs_operator: said.needs_operator,
        runbook: said.runbook.map(Into::into),
        now: facts.now,
        chain: facts.chain,
        height: facts.height,
        hash: follow.and_then(|follow| follow.active).or(facts.indexed).or(facts.hash),
        sources: facts.height.map(reached).unwrap_or_default(),
        item,
        lease,
        timeline: timeline(steps),
        transactions,
        main,
        paused: follow.and_then(|follow| follow.pause.clone()),
        holder: follow.and_then(|follow| follow.holder.clone()),
    }
}

fn timeline(steps: Vec<(u64, Event)>) -> Vec<Moment> {
    let mut last = None;
    steps
        .into_iter()
        .map(|(_, Event { at, what, detail })| {
            let after = last.map_or(0, |last| at.saturating_sub(last));
            last = Some(at);
            Moment { at, after, what, detail }
        })
        .collect()
}

fn on_main(info: &ChainInfo, facts: &Facts) -> OnMain {
    let confirmations = facts
        .height
        .and_then(|height| info.tracked.height.checked_sub(height))
        .map(|above| above.saturating_add(1));
    let more = |confirmed: u64| facts.height.map(|height| height.saturating_sub(confirmed));
    OnMain {
        grid_block: facts.main.height,
        status: info.status.clone(),
        first_height: info.first_height,
        tracked: info.tracked,
        confirmed: info.confirmed,
        rule: info.rule.clone(),
        confirmations,
        more_blocks: info.confirmed.and_then(|confirmed| more(confirmed.height)),
        indexed_in: facts.indexed_in,
    }
}
