//! From tracked to confirmed: accumulators and the index.
//!
//! A chain is looked at when evidence arrived for it, and at a block's start when its rule said that
//! time alone may confirm more. What a block does is bounded per chain and for all chains together ([`work`]); the rest
//! follows in the next blocks, where the chain that has waited longest comes first.
//!
//! [`work`]: super::work

use alloy_primitives::B256;
use alloy_sol_types::SolValue;

use super::{
    ChainRecord, ChainStatus, Env,
    abi::{LIGHT_CLIENTS, LightClients, REGISTRY, Registry},
    levels::{self, Confirmed},
    light_client,
    registry::{read_record, store_record},
    work::{MAX_BEGIN_CHAINS, Task},
};
use crate::{
    ChainKey, CompatHeader,
    header_tree::{CHUNK_HEIGHTS, HeaderTree, TipChange},
    index::ChainEntry,
    light_client::LightClient,
    message,
    state::{Accumulator, Checkpoints, Overlay, StateRead, StorageError, keys},
    transition::IndexEvent,
};

/// The chain's own work at a block's start: the chains whose rule is due by time, those that have been due for
/// longest first.
pub(crate) fn begin_block(env: &mut Env<'_, '_>) -> Result<(), StorageError> {
    let now = env.block.time_ms;
    let mut due = read_due(env.overlay)?;
    due.retain(|(_, at)| *at <= now);
    due.sort_by_key(|(chain, at)| (*at, *chain));
    due.truncate(MAX_BEGIN_CHAINS);
    let chains = due.len();
    for (at, (chain, _)) in due.into_iter().enumerate() {
        env.clients.work.share(chains.saturating_sub(at));
        match read_record(env.overlay, chain)? {
            Some(record) if record.status == ChainStatus::Active => {
                let mut client = env.clients.take(env.overlay, &record)?;
                evaluate(env, &record, &mut client)?;
                env.clients.put(chain, client);
            }
            _ => set_due(env.overlay, chain, None)?,
        }
    }
    env.clients.work.open();
    Ok(())
}

/// Starts a chain's accumulator and puts an active chain into the index.
pub(crate) fn enrol(
    overlay: &mut Overlay<'_>,
    record: &ChainRecord,
    client: &mut LightClient,
) -> Result<(), StorageError> {
    let chain = record.key();
    let accumulator = Accumulator::new(client.tree().base().height());
    accumulator.store(overlay, chain);
    light_client::save(overlay, chain, client)?;
    show(overlay, record, &accumulator)
}

/// Puts an active chain into the index, due at once, or takes another one out of it.
pub(crate) fn show(
    overlay: &mut Overlay<'_>,
    record: &ChainRecord,
    accumulator: &Accumulator,
) -> Result<(), StorageError> {
    let active = record.status == ChainStatus::Active;
    set_due(overlay, record.key(), active.then_some(0))?;
    let entry = active.then(|| entry_of(record, accumulator));
    set_entry(overlay, record.key(), entry)
}

/// Brings a chain's accumulator in line with its header tree and rule, prunes the tree and notes when
/// to look again.
pub(crate) fn evaluate(
    env: &mut Env<'_, '_>,
    record: &ChainRecord,
    client: &mut LightClient,
) -> Result<(), StorageError> {
    let chain = record.key();
    let Some(accumulator) = Accumulator::read(env.overlay, chain)? else {
        return Err(StorageError::corrupt("accumulator"));
    };
    settle(env, chain, client);
    let mut ranges =
        Ranges { chain, accumulator, checkpoints: Checkpoints::read(env.overlay, chain)? };
    let (accumulator, checkpoints) = (ranges.accumulator.clone(), ranges.checkpoints.clone());
    if !ranges.cut_back(env, client.tree())? {
        light_client::save(env.overlay, chain, client)?;
        return freeze(env, record, client.tree(), &accumulator);
    }
    let now = env.block.time_ms;
    let start = ranges.accumulator.next_height();
    let more = client.exports() && ranges.grow(env, record, client.tree()) || client.can_settle();
    let heights = start..ranges.accumulator.next_height();
    let confirmed = Confirmed { cut: start < accumulator.next_height(), heights };
    let changed = levels::follow(env, record, client.tree(), &confirmed)?;
    let record = changed.as_ref().unwrap_or(record);
    ranges.prune(record, client);
    light_client::save(env.overlay, chain, client)?;
    // Due since now: behind the chains that have waited for longer.
    let next = if more { Some(now) } else { record.rule.next_change_ms(client.tree(), now) };
    set_due(env.overlay, chain, next)?;
    if ranges.checkpoints != checkpoints {
        ranges.checkpoints.store(env.overlay, chain);
    }
    if ranges.accumulator != accumulator {
        ranges.accumulator.store(env.overlay, chain);
        set_entry(env.overlay, chain, Some(entry_of(record, &ranges.accumulator)))?;
    }
    Ok(())
}

/// Moves headers that wait into the tree, as many as the block may.
fn settle(env: &mut Env<'_, '_>, chain: ChainKey, client: &mut LightClient) {
    if !client.can_settle() {
        return;
    }
    let most = env.clients.work.left(chain, Task::Settle);
    let (count, change) = client.settle(most, env.block.time_ms);
    env.clients.work.did(chain, Task::Settle, count);
    report(env, chain, client, &change);
}

/// Tells that the best tracked header is another one.
pub(crate) fn report(
    env: &mut Env<'_, '_>,
    chain: ChainKey,
    client: &LightClient,
    change: &TipChange,
) {
    let tip = client.tip();
    let (height, hash) = (tip.height(), tip.hash());
    match change {
        TipChange::Known | TipChange::Side => return,
        TipChange::Extended => (),
        TipChange::Reorg(reorg) => {
            let count = |list: &[B256]| u64::try_from(list.len()).unwrap_or(u64::MAX);
            let event = LightClients::Reorged {
                chain: chain.0,
                commonHeight: reorg.common.0,
                removed: count(&reorg.removed),
                added: count(&reorg.added),
            };
            env.log(LIGHT_CLIENTS, &event);
        }
    }
    let event = LightClients::TipChanged { chain: chain.0, height, blockHash: hash };
    env.log(LIGHT_CLIENTS, &event);
    env.events.push(IndexEvent::TipChanged { chain, height, hash });
}

/// A chain's accumulator while it follows the header tree.
struct Ranges {
    chain: ChainKey,
    accumulator: Accumulator,
    checkpoints: Checkpoints,
}

impl Ranges {
    /// Cuts the range back to the best branch. `false` where the fork lies below what the tree holds.
    fn cut_back(&mut self, env: &mut Env<'_, '_>, tree: &HeaderTree) -> Result<bool, StorageError> {
        let chain = self.chain;
        let Some(confirmed) = self.accumulator.tip_height() else { return Ok(true) };
        if tree.is_best(&self.accumulator.tip_hash) {
            return Ok(true);
        }
        let Some(reorg) = tree.path(&self.accumulator.tip_hash, &tree.tip().hash()) else {
            return Ok(false);
        };
        let common = reorg.common.0;
        let from = common.saturating_add(1);
        let Some(count) = from.checked_sub(self.accumulator.first_height) else { return Ok(false) };
        let Some(range) = self.checkpoints.back_to(count).cloned() else { return Ok(false) };
        let tip_hash = core::mem::replace(&mut self.accumulator.tip_hash, reorg.common.1);
        let kept = core::mem::replace(&mut self.accumulator.range, range);
        if common >= confirmed || !self.append(tree, common, |_| ()) {
            self.accumulator.tip_hash = tip_hash;
            self.accumulator.range = kept;
            return Ok(false);
        }
        let depth = confirmed.saturating_sub(common);
        env.log(
            LIGHT_CLIENTS,
            &LightClients::IndexReverted { chain: chain.0, fromHeight: from, depth },
        );
        env.events.push(IndexEvent::Reverted { chain, from, depth });
        let cut = message::Cut { at: env.block.height, from, depth, tip: tip_hash };
        message::note_cut(env.overlay, chain, cut)?;
        Ok(true)
    }

    /// Appends the leaves of the best branch up to a height; `false` where a header is missing.
    fn append(&mut self, tree: &HeaderTree, to: u64, mut each: impl FnMut(CompatHeader)) -> bool {
        for height in self.accumulator.next_height()..=to {
            let Some(header) = tree.best_at(height).map(|tracked| tracked.compat()) else {
                return false;
            };
            let range = &mut self.accumulator.range;
            if range.count() == 0 || height.checked_rem(CHUNK_HEIGHTS) == Some(0) {
                self.checkpoints.note(range);
            }
            range.append(header.leaf());
            self.accumulator.tip_hash = header.blockHash;
            each(header);
        }
        true
    }

    /// Appends newly confirmed headers. `true` where the limit of the block left some over.
    fn grow(&mut self, env: &mut Env<'_, '_>, record: &ChainRecord, tree: &HeaderTree) -> bool {
        let chain = self.chain;
        let Some(confirmed) = record.rule.confirmed_height(tree, env.block.time_ms) else {
            return false;
        };
        let from = self.accumulator.next_height();
        let Some(wanted) = confirmed.saturating_add(1).checked_sub(from).filter(|n| *n > 0) else {
            return false;
        };
        let count = wanted.min(env.clients.work.left(chain, Task::Index));
        env.clients.work.did(chain, Task::Index, count);
        let Some(to) = count.checked_sub(1).map(|more| from.saturating_add(more)) else {
            return true;
        };
        let events = &mut env.events;
        self.append(tree, to, |header| {
            events.push(IndexEvent::Appended { chain, header });
        });
        env.log(
            LIGHT_CLIENTS,
            &LightClients::Indexed { chain: chain.0, fromHeight: from, toHeight: to },
        );
        count < wanted
    }

    /// Moves the tree's base up to `window` headers below the confirmed tip, in whole chunks so that most
    /// blocks do not prune.
    fn prune(&mut self, record: &ChainRecord, client: &mut LightClient) {
        let Some(confirmed) = self.accumulator.tip_height() else { return };
        let target = confirmed.saturating_sub(record.window);
        let target = target.saturating_sub(target.checked_rem(CHUNK_HEIGHTS).unwrap_or(0));
        if target <= client.tree().base().height() {
            return;
        }
        self.checkpoints.forget_below(target.saturating_sub(self.accumulator.first_height));
        client.prune(target);
    }
}

/// Stops a chain that contradicted itself deeper than its window.
fn freeze(
    env: &mut Env<'_, '_>,
    record: &ChainRecord,
    tree: &HeaderTree,
    accumulator: &Accumulator,
) -> Result<(), StorageError> {
    let common_height =
        tree.path(&accumulator.tip_hash, &tree.tip().hash()).map_or(0, |reorg| reorg.common.0);
    stop(env, record, accumulator, common_height)
}

/// Stops a chain whose finality contradicted itself; what is confirmed stays as it is.
pub(crate) fn freeze_final(
    env: &mut Env<'_, '_>,
    record: &ChainRecord,
    client: &mut LightClient,
) -> Result<(), StorageError> {
    let chain = record.key();
    light_client::save(env.overlay, chain, client)?;
    let accumulator = Accumulator::read(env.overlay, chain)?
        .ok_or_else(|| StorageError::corrupt("accumulator"))?;
    let common_height = accumulator.tip_height().unwrap_or(0);
    stop(env, record, &accumulator, common_height)
}

fn stop(
    env: &mut Env<'_, '_>,
    record: &ChainRecord,
    accumulator: &Accumulator,
    common_height: u64,
) -> Result<(), StorageError> {
    let chain = record.key();
    let frozen = ChainRecord { status: ChainStatus::Frozen, ..record.clone() };
    store_record(env.overlay, &frozen);
    show(env.overlay, &frozen, accumulator)?;
    let status = frozen.status.code();
    env.log(LIGHT_CLIENTS, &LightClients::Frozen { chain: chain.0, commonHeight: common_height });
    env.log(REGISTRY, &Registry::StatusChanged { chain: chain.0, status });
    env.events.push(IndexEvent::Frozen { chain, common_height });
    Ok(())
}

/// The index entry of a chain.
fn entry_of(record: &ChainRecord, accumulator: &Accumulator) -> ChainEntry {
    ChainEntry {
        chain: record.key().0,
        level: record.level.code(),
        security: record.security.code(),
        firstHeight: accumulator.first_height,
        count: accumulator.range.count(),
        accumulatorRoot: accumulator.range.root(),
        tipHash: accumulator.tip_hash,
    }
}

/// The entries of all active chains, sorted by key.
pub(crate) fn read_entries(state: &dyn StateRead) -> Result<Vec<ChainEntry>, StorageError> {
    let Some(bytes) = state.read(&keys::index())? else { return Ok(Vec::new()) };
    <Vec<ChainEntry>>::abi_decode(&bytes).map_err(|_| StorageError::corrupt("index"))
}

fn set_entry(
    overlay: &mut Overlay<'_>,
    chain: ChainKey,
    entry: Option<ChainEntry>,
) -> Result<(), StorageError> {
    let mut entries = read_entries(overlay)?;
    replace(&mut entries, entry, |other| other.chain.cmp(&chain.0));
    overlay.set(keys::index(), entries.abi_encode());
    Ok(())
}

/// When chains must be looked at again: (chain, Grid time in milliseconds), sorted by chain.
pub(crate) fn read_due(state: &dyn StateRead) -> Result<Vec<(ChainKey, u64)>, StorageError> {
    let Some(bytes) = state.read(&keys::due())? else { return Ok(Vec::new()) };
    let list = <Vec<(B256, u64)>>::abi_decode(&bytes)
        .map_err(|_| StorageError::corrupt("table of due chains"))?;
    Ok(list.into_iter().map(|(chain, at)| (ChainKey(chain), at)).collect())
}

fn set_due(
    overlay: &mut Overlay<'_>,
    chain: ChainKey,
    at: Option<u64>,
) -> Result<(), StorageError> {
    let mut due = read_due(overlay)?;
    replace(&mut due, at.map(|at| (chain, at)), |(other, _)| other.cmp(&chain));
    let due = due.into_iter().map(|(chain, at)| (chain.0, at)).collect::<Vec<_>>();
    overlay.set(keys::due(), due.abi_encode());
    Ok(())
}

/// Replaces, inserts or removes one item of a sorted list.
fn replace<T>(list: &mut Vec<T>, item: Option<T>, order: impl FnMut(&T) -> core::cmp::Ordering) {
    match (list.binary_search_by(order), item) {
        (Ok(at), Some(item)) => {
            if let Some(slot) = list.get_mut(at) {
                *slot = item;
            }
        }
        (Ok(at), None) => drop(list.remove(at)),
        (Err(at), Some(item)) => list.insert(at, item),
        (Err(_), None) => (),
    }
}
