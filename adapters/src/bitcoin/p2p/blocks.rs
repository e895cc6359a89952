//! Blocks on demand: each asked for from one peer after another until one delivers it.

use std::{collections::BTreeMap, time::Instant};

use alloy_primitives::{B256, Bytes};
use tokio::sync::oneshot;

use super::{
    driver::Driver,
    peer::{Command, PeerId},
};
use crate::{AdapterError, bitcoin::header};

/// Blocks that may be under way at a time: each is up to 4 MB.
const MOST: usize = 16;
/// Questions for the same block that wait together.
const MOST_WAITING: usize = 64;
/// Peers without the full chain keep at least so many of the newest blocks (BIP159).
const LIMITED_BLOCKS: u64 = 288;

/// A block's bytes, whose header is the one asked for; the rest is not looked at yet.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) height: u64,
    pub(super) raw: Bytes,
    pub(super) from: PeerId,
}

/// Where a block is sent to.
pub(super) type Reply = oneshot::Sender<Result<Fetched, AdapterError>>;

#[derive(Debug)]
struct Fetch {
    height: u64,
    waiting: Vec<Reply>,
    from: PeerId,
    deadline: Instant,
    tried: Vec<PeerId>,
}

/// The blocks under way.
#[derive(Debug, Default)]
pub(super) struct Fetches(BTreeMap<B256, Fetch>);

impl Driver {
    pub(super) fn fetch(&mut self, hash: B256, reply: Reply) {
        let refusal = match self.chain.find(&hash) {
            None => Some(AdapterError::NotFound {
                endpoint: self.endpoint(),
                what: format!("block {}", header::shown(&hash)),
                hint: "; block hashes are given as Bitcoin's tools show them",
            }),
            Some((height, false)) => Some(AdapterError::Stale {
                endpoint: self.endpoint(),
                block: header::shown(&hash),
                height,
            }),
            Some((height, true)) => {
                self.fetches.0.retain(|_, fetch| {
                    fetch.waiting.retain(|waiting| !waiting.is_closed());
                    !fetch.waiting.is_empty()
                });
                let full = self.fetches.0.len() >= MOST;
                match self.fetches.0.get_mut(&hash) {
                    Some(fetch) if fetch.waiting.len() < MOST_WAITING => {
                        fetch.waiting.push(reply);
                        return;
                    }
                    None if !full => {
                        let (waiting, tried, deadline) = (vec![reply], Vec::new(), Instant::now());
                        let fetch = Fetch { height, waiting, from: PeerId::MAX, deadline, tried };
                        self.fetches.0.insert(hash, fetch);
                        self.ask_for_block(hash);
                        return;
                    }
                    _ => Some(
                        self.undelivered(&hash, format!("{MOST} blocks are under way already")),
                    ),
                }
            }
        };
        if let Some(error) = refusal {
            // Whoever asked may have given up.
            let _ = reply.send(Err(error));
        }
    }

    fn endpoint(&self) -> String {
        format!("peers of Bitcoin {}", self.name)
    }

    fn undelivered(&self, hash: &B256, reasons: String) -> AdapterError {
        let what = format!("delivered block {}", header::shown(hash));
        AdapterError::NoPeer { network: self.name.clone(), what, reasons }
    }

    /// Asks the next peer that should have the block and was not asked yet, or gives up.
    fn ask_for_block(&mut self, hash: B256) {
        let Some(fetch) = self.fetches.0.get(&hash) else { return };
        let depth = self.chain.tip().height.saturating_sub(fetch.height);
        let next = self
            .links()
            .filter(|(id, _, link)| {
                let has_it = link.remote.has_all_blocks || depth < LIMITED_BLOCKS;
                has_it && !fetch.tried.contains(id)
            })
            .find(|(_, _, link)| link.commands.try_send(Command::GetBlock(hash)).is_ok())
            .map(|(id, ..)| id);
        let deadline = Instant::now().checked_add(self.timing.block);
        let (Some(id), Some(deadline)) = (next, deadline) else {
            let Some(fetch) = self.fetches.0.remove(&hash) else { return };
            for reply in fetch.waiting {
                let reason = format!("{} were asked", fetch.tried.len());
                // Whoever asked may have given up.
                let _ = reply.send(Err(self.undelivered(&hash, reason)));
            }
            return;
        };
        if let Some(fetch) = self.fetches.0.get_mut(&hash) {
            fetch.tried.push(id);
            (fetch.from, fetch.deadline) = (id, deadline);
        }
    }

    pub(super) fn on_block(&mut self, id: PeerId, raw: &Bytes) {
        let Some(start) = raw.first_chunk::<{ header::LEN }>() else { return };
        let hash = header::hash(start);
        // A block that came too late, or another than was asked for: the deadline decides.
        if self.fetches.0.get(&hash).is_none_or(|fetch| fetch.from != id) {
            return;
        }
        let Some(fetch) = self.fetches.0.remove(&hash) else { return };
        for reply in fetch.waiting {
            // Whoever asked may have given up.
            let (height, raw) = (fetch.height, raw.clone());
            let _ = reply.send(Ok(Fetched { height, raw, from: id }));
        }
    }

    pub(super) fn on_not_found(&mut self, id: PeerId, hashes: &[B256]) {
        for hash in hashes {
            if self.fetches.0.get(hash).is_some_and(|fetch| fetch.from == id) {
                self.ask_for_block(*hash);
            }
        }
    }

    /// A connection ended with blocks under way.
    pub(super) fn fetch_elsewhere(&mut self, id: PeerId) {
        self.ask_again(|fetch| fetch.from == id);
    }

    pub(super) fn expire_fetches(&mut self, now: Instant) {
        self.ask_again(|fetch| fetch.deadline <= now);
    }

    fn ask_again(&mut self, which: impl Fn(&Fetch) -> bool) {
        let again: Vec<B256> = self
            .fetches
            .0
            .iter()
            .filter(|(_, fetch)| which(fetch))
            .map(|(hash, _)| *hash)
            .collect();
        again.into_iter().for_each(|hash| self.ask_for_block(hash));
    }
}
