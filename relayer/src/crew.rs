//! This relayer among those that share its database.
//!
//! Every relayer says at short intervals that it is alive, and holds the chains that it works on. The chains
//! are shared evenly: who holds more than its share leaves the rest to the others, and who holds enough takes
//! another one only when nobody else has for a lease. So does, for a while, who could not reach a chain's
//! endpoints. A relayer that dies loses its chains after a lease.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use grid_core::ChainId;
use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::now_ms,
    status::Holder,
    store::{ChainRow, Holding, RelayerRow, Store, StoreError, millis},
    supervise::Pulse,
};

/// A lease is renewed so many times before it would end.
const BEATS: u32 = 3;

/// How long a relayer lets others go first for a chain whose endpoints it could not reach.
const SHY: Duration = Duration::from_secs(600);

/// Stands between a relayer's name and what tells its starts apart; no name has it.
const START: char = '#';

/// What leases carry: another one for every start, so that a relayer which hangs is never taken for the one that was started
/// in its place.
pub(crate) fn owner(name: Option<&str>) -> String {
    let start = format!("{:016x}", rand::thread_rng().r#gen::<u64>());
    name.map_or_else(|| start.clone(), |name| format!("{name}{START}{start}"))
}

/// The name that people know an owner of leases by.
pub(crate) fn name(owner: &str) -> &str {
    owner.split(START).next().unwrap_or(owner)
}

/// This relayer's place. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Crew {
    store: Store,
    me: RelayerRow,
    lease: Duration,
    /// Changes nothing: looks at chains that others work on.
    watches: bool,
    memory: Arc<Mutex<Memory>>,
}

/// What is worth remembering between two beats; forgetting it costs some changes of hands.
#[derive(Debug, Default)]
struct Memory {
    /// The other relayers that are alive.
    others: BTreeSet<String>,
    /// The chains that this one holds, and how many are its share; of queues so too.
    held: BTreeSet<ChainId>,
    share: [usize; 2],
    /// Chains that nobody else has taken when they were free: kept although they are too many.
    unwanted: BTreeSet<ChainId>,
    /// Chains that this relayer could not reach, and until when others go first.
    shy: BTreeMap<ChainId, u64>,
}

impl Crew {
    /// A relayer that is alone until the first [`Self::beat`] finds others. One that only `watches` holds
    /// nothing and keeps nobody from working.
    #[must_use]
    pub fn new(store: Store, me: RelayerRow, lease: Duration, watches: bool) -> Self {
        Self { store, me, lease, watches, memory: Arc::default() }
    }

    /// What leases carry.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.me.owner
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        name(&self.me.owner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics while it is locked.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a chain; `None` while another relayer works on it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hold(&self, chain: &ChainId, now: u64) -> Result<Option<ChainRow>, StoreError> {
        if self.watches {
            return self.store.chain(chain).await.map(Some);
        }
        let patient = self.memory().is_patient(chain, now);
        let patience = if patient { self.lease } else { Duration::ZERO };
        let row = self.store.hold_chain(&self.me.owner, chain, now, self.lease, patience).await?;
        let mut memory = self.memory();
        if row.is_none() {
            memory.held.remove(chain);
        } else if memory.held.insert(chain.clone()) && patient {
            memory.unwanted.insert(chain.clone());
        }
        Ok(row)
    }

    /// Leaves a chain whose endpoints cannot be reached from here to the others, if there are any: theirs
    /// may work.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pass_on(&self, chain: &ChainId, now: u64) -> Result<(), StoreError> {
        {
            let mut memory = self.memory();
            if memory.others.is_empty() {
                return Ok(());
            }
            memory.unwanted.remove(chain);
            memory.held.remove(chain);
            memory.shy.insert(chain.clone(), now.saturating_add(millis(SHY)));
        }
        self.store.leave_chain(&self.me.owner, chain, now).await
    }

    /// Renews everything, and leaves the chains beyond this relayer's share of `chains`, and those that it does
    /// not follow any more, to the others.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn beat(&self, chains: &BTreeSet<ChainId>, now: u64) -> Result<(), StoreError> {
        if self.watches {
            return Ok(());
        }
        self.store.beat(&self.me, now, self.lease).await?;
        let alive = self.store.relayers(now).await?;
        let holdings = self.store.holdings(now).await?;
        let mine = holdings.into_iter().filter(|held| held.holder == self.me.owner);
        let others = alive.into_iter().map(|row| row.owner).filter(|name| *name != self.me.owner);
        let surplus = {
            let held = mine.map(|held| held.chain).collect();
            self.memory().count(chains, held, others.collect(), now)
        };
        for chain in surplus {
            tracing::info!(%chain, "leaving the chain to another relayer");
            self.store.leave_chain(&self.me.owner, &chain, now).await?;
        }
        Ok(())
    }

    /// Who works on each chain that somebody works on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holders(&self, now: u64) -> Result<BTreeMap<ChainId, Holder>, StoreError> {
        let holder = |held: Holding| {
            let (relayer, here) = (name(&held.holder).into(), held.holder == self.me.owner);
            (held.chain, Holder { relayer, signer: held.signer, here, until: held.until })
        };
        Ok(self.store.holdings(now).await?.into_iter().map(holder).collect())
    }

    /// Leaves everything to the others.
    pub(crate) async fn let_go(&self) {
        if let Err(error) = self.store.let_go(&self.me.owner).await {
            tracing::warn!(%error, "leases not given back; they end by themselves");
        }
    }
}

/// Whether this is a relayer's own queue, which has the form of a chain's id. Queues are shared apart from the chains:
/// most are empty, and a chain is no even share for one.
fn is_queue(chain: &ChainId) -> bool {
    chain.namespace() == "grid"
}

fn of_kind(chains: &BTreeSet<ChainId>, queues: bool) -> usize {
    chains.iter().filter(|chain| is_queue(chain) == queues).count()
}

impl Memory {
    /// Whether others go first.
    fn is_patient(&self, chain: &ChainId, now: u64) -> bool {
        let kind = is_queue(chain);
        let held = of_kind(&self.held, kind);
        let full = !self.others.is_empty() && held >= self.share[usize::from(kind)];
        (full && !self.held.contains(chain))
            || self.shy.get(chain).is_some_and(|until| *until > now)
    }

    /// Takes over what a beat has seen; returns the chains that are too many.
    fn count(
        &mut self,
        chains: &BTreeSet<ChainId>,
        held: Vec<ChainId>,
        others: BTreeSet<String>,
        now: u64,
    ) -> Vec<ChainId> {
        if self.others != others {
            // A new one may want what the old ones did not.
            self.unwanted.clear();
            self.others = others;
        }
        self.shy.retain(|_, until| *until > now);
        self.share =
            [false, true].map(|kind| of_kind(chains, kind).div_ceil(self.others.len() + 1));
        let (held, mut surplus): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|chain| chains.contains(chain));
        let (mut kept, movable): (BTreeSet<_>, BTreeSet<_>) =
            held.into_iter().partition(|chain| self.unwanted.contains(chain));
        for chain in movable {
            let kind = is_queue(&chain);
            let room = of_kind(&kept, kind) < self.share[usize::from(kind)];
            if room || self.others.is_empty() {
                kept.insert(chain);
            } else {
                surplus.push(chain);
            }
        }
        self.held = kept;
        surplus
    }
}

/// Beats until a stop.
pub(crate) async fn run(
    crew: Crew,
    chains: impl Fn() -> BTreeSet<ChainId> + Send,
    pulse: Pulse,
    cancel: CancellationToken,
) {
    let mut timer = tokio::time::interval(crew.lease / BEATS);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = timer.tick() => {}
        }
        pulse.beat();
        match crew.beat(&chains(), now_ms()).await {
            Ok(()) => pulse.progress(),
            Err(error) => tracing::warn!(%error, "leases not renewed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(count: u64) -> Vec<ChainId> {
        (1..=count).map(ChainId::eip155).collect()
    }

    fn followed(count: u64) -> BTreeSet<ChainId> {
        chains(count).into_iter().collect()
    }

    fn others(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn starts_are_told_apart_by_leases_and_not_by_people() {
        let [one, two] = [owner(Some("berlin-1")), owner(Some("berlin-1"))];
        assert_ne!(one, two);
        assert_eq!([name(&one), name(&two)], ["berlin-1"; 2]);
        let [one, two] = [owner(None), owner(None)];
        assert_ne!(name(&one), name(&two));
    }

    #[test]
    fn a_lonely_relayer_holds_everything_and_a_second_one_gets_half() {
        let (mut memory, all) = (Memory::default(), followed(7));
        assert!(memory.count(&all, chains(7), others(&[]), 0).is_empty());
        assert!(!memory.is_patient(&ChainId::eip155(8), 0));
        assert_eq!(memory.count(&all, chains(7), others(&["b"]), 0).len(), 3);
        assert!(memory.is_patient(&ChainId::eip155(8), 0), "it has its share");
        assert!(!memory.is_patient(&ChainId::eip155(1), 0), "it holds this one");
        assert!(memory.count(&all, chains(4), others(&["b"]), 0).is_empty());
        // The other one is gone again.
        assert!(memory.count(&all, chains(4), others(&[]), 0).is_empty());
        assert!(!memory.is_patient(&ChainId::eip155(8), 0));
    }

    #[test]
    fn queues_are_no_part_of_the_share_of_chains() {
        let queues = ["grid:a", "grid:b", "grid:c"].map(|id| id.parse::<ChainId>().unwrap());
        let all: BTreeSet<_> = followed(2).into_iter().chain(queues.clone()).collect();
        let held = all.iter().cloned().collect();
        let mut memory = Memory::default();
        let surplus = memory.count(&all, held, others(&["b"]), 0);
        assert_eq!(surplus, [ChainId::eip155(2), queues[2].clone()], "half of each");
        assert!(memory.is_patient(&ChainId::eip155(2), 0) && memory.is_patient(&queues[2], 0));
    }

    #[test]
    fn what_nobody_else_takes_is_kept_until_somebody_new_comes() {
        let (mut memory, all) = (Memory::default(), followed(2));
        memory.count(&all, chains(1), others(&["b"]), 0);
        memory.unwanted.insert(ChainId::eip155(2));
        let surplus = memory.count(&all, chains(2), others(&["b"]), 0);
        assert_eq!(surplus, [ChainId::eip155(1)], "the unwanted one is its share");
        let surplus = memory.count(&all, chains(2), others(&["b", "c"]), 0);
        assert_eq!(surplus, [ChainId::eip155(2)]);
    }

    #[test]
    fn others_go_first_for_a_chain_that_could_not_be_reached() {
        let mut memory = Memory::default();
        memory.count(&followed(4), chains(1), others(&["b"]), 0);
        memory.shy.insert(ChainId::eip155(2), 100);
        assert!(memory.is_patient(&ChainId::eip155(2), 99));
        assert!(!memory.is_patient(&ChainId::eip155(2), 100));
        assert!(!memory.is_patient(&ChainId::eip155(3), 0));
    }

    #[test]
    fn a_chain_that_is_not_followed_any_more_is_left() {
        let mut memory = Memory::default();
        let surplus = memory.count(&followed(2), chains(3), others(&[]), 0);
        assert_eq!(surplus, [ChainId::eip155(3)]);
    }
}
