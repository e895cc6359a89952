//! Several relayers on one database.

use core::time::Duration;

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

on_both! {
    a_chain_has_one_holder_until_its_lease_ends
    a_holder_that_stood_still_cannot_store_its_result
    what_is_let_go_is_free_at_once
    a_beat_keeps_chains_and_orphans_are_found
    processes_that_race_never_share_an_item
    two_processes_with_one_key_never_use_a_nonce_twice
    two_processes_with_one_key_never_attest_two_final_headers
    any_order_of_steps_keeps_the_rows_consistent
}

const NOW: Duration = Duration::ZERO;

async fn hold(store: &Store, owner: &str, now: u64) -> bool {
    store.hold_chain(owner, &chain(), now, LEASE, NOW).await.unwrap().is_some()
}

async fn a_chain_has_one_holder_until_its_lease_ends(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    a.set_chain(&chain(), &ChainRow { attempt: 3, ..ChainRow::default() }, 0).await.unwrap();
    assert!(hold(&a, "a", 1_000).await && !hold(&b, "b", 30_999).await);
    assert!(hold(&a, "a", 29_000).await, "renewed");
    assert!(!hold(&b, "b", 58_999).await && hold(&b, "b", 59_000).await);
    assert!(!hold(&a, "a", 60_000).await);
    let held = b.holdings(60_000).await.unwrap();
    assert_eq!((held.len(), held[0].holder.as_str(), held[0].until), (1, "b", 89_000));
    assert_eq!(held[0].signer, None, "it has never given a sign of life");
    // Who goes last waits a lease longer.
    assert!(a.hold_chain("a", &chain(), 118_999, LEASE, LEASE).await.unwrap().is_none());
    let row = a.hold_chain("a", &chain(), 119_000, LEASE, LEASE).await.unwrap().unwrap();
    assert_eq!(row.attempt, 3, "what is stored of the chain comes with it");
}

async fn a_holder_that_stood_still_cannot_store_its_result(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    a.plan_all(&[item(1, 5), item(6, 9)], 0, STALE).await.unwrap();
    let slow = claim(&a, "a", 2, 0).await;
    assert!(hold(&b, "b", 30_000).await);
    // It believes that no time has passed. The first item nobody has taken yet, only the chain.
    let refused = a.record_transaction(Some(&slow[0]), &transaction(0, 0), 1).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(_))), "{refused:?}");
    assert!(a.claim("a", &chain(), 2, 1, LEASE).await.unwrap().is_empty());
    let taken = claim(&b, "b", 1, 30_000).await;
    assert_eq!(taken[0].key, slow[0].key, "the former holder's claim does not count");
    b.record_transaction(Some(&taken[0]), &transaction(0, 1), 30_001).await.unwrap();
    let refused = a.record_transaction(Some(&slow[0]), &transaction(1, 0), 1).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(_))), "{refused:?}");
    assert!(matches!(a.known(&slow[0], "known", 1).await, Err(StoreError::LeaseLost(_))));
    a.release(&slow[0], true, 0, "late", 1).await.unwrap();
    let item = b.item(&slow[0].key).await.unwrap().unwrap();
    assert_eq!(
        (item.stage, item.attempt, item.tx_hash),
        (Stage::Sent, 0, Some(transaction(0, 1).hash))
    );
}

async fn what_is_let_go_is_free_at_once(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    a.plan(&item(1, 5), 0, STALE).await.unwrap();
    assert_eq!(claim(&a, "a", 1, 0).await.len(), 1);
    a.leave_chain("a", &chain(), 5).await.unwrap();
    assert!(b.hold_chain("b", &chain(), 6, LEASE, LEASE).await.unwrap().is_none(), "others first");
    assert!(hold(&b, "b", 6).await);
    b.let_go("b").await.unwrap();
    assert!(a.hold_chain("a", &chain(), 40_000, LEASE, LEASE).await.unwrap().is_some());
    // Letting go what another one holds changes nothing.
    b.let_go("b").await.unwrap();
    b.leave_chain("b", &chain(), 40_001).await.unwrap();
    assert!(!hold(&b, "b", 40_001).await);
}

async fn a_beat_keeps_chains_and_orphans_are_found(place: Place) {
    let store = place.open().await;
    let row = |owner: &str, byte| RelayerRow {
        owner: owner.into(),
        signer: Address::repeat_byte(byte),
        started_at: 7,
    };
    let (a, b) = (row("a", 1), row("b", 2));
    store.beat(&a, 0, LEASE).await.unwrap();
    store.beat(&b, 0, LEASE).await.unwrap();
    assert!(hold(&store, "a", 0).await);
    assert_eq!(store.holdings(1).await.unwrap()[0].signer, Some(a.signer));
    for relayer in [&a, &b] {
        store.record_transaction(None, &signed(relayer.signer, 0, 0), 0).await.unwrap();
    }
    store.beat(&a, 20_000, LEASE).await.unwrap();
    assert!(!hold(&store, "b", 49_999).await, "kept by the beat alone");
    assert_eq!(store.relayers(29_999).await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!(store.relayers(30_000).await.unwrap(), core::slice::from_ref(&a));
    assert!(store.orphans(&a.signer, 29_999).await.unwrap().is_empty());
    assert_eq!(store.orphans(&a.signer, 30_000).await.unwrap(), [b.signer]);
    assert!(store.orphans(&b.signer, 30_000).await.unwrap().is_empty(), "never the own key");
    let live = store.live(&b.signer).await.unwrap();
    store.settle_known(&b.signer, &live[0], "known", 1).await.unwrap();
    assert!(store.orphans(&a.signer, 30_000).await.unwrap().is_empty(), "nothing left to settle");
}

async fn processes_that_race_never_share_an_item(place: Place) {
    const ITEMS: u64 = 120;
    let store = place.open().await;
    let items: Vec<_> = (0..ITEMS).map(|n| item(1 + n, 1 + n)).collect();
    store.plan_all(&items, 0, STALE).await.unwrap();
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(place.open().await);
    }
    let workers: Vec<_> =
        stores.into_iter().enumerate().map(|(n, store)| tokio::spawn(worker(n, store))).collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!((all.len(), count), (120, 120), "an item was taken twice or never");
    let live = store.live(&transaction(0, 0).signer).await.unwrap();
    assert_eq!(live.len(), 120, "one nonce for each");
}

/// Tries a step again that the database could not take: a file that several processes write to is often
/// locked for longer than one waits.
macro_rules! patiently {
    ($step:expr) => {
        loop {
            match $step.await {
                Err(StoreError::Statement { .. } | StoreError::Late { .. }) => {}
                done => break done.unwrap(),
            }
        }
    };
}

/// Takes the chain whenever it can, works on some items, and leaves it; until nothing is planned.
async fn worker(n: usize, store: Store) -> Vec<String> {
    let owner = format!("w{n}");
    let (owner, chain) = (owner.as_str(), chain());
    let mut mine = Vec::new();
    // All the time the same moment, so that leases never end by themselves.
    while !patiently!(store.items(&chain, Stage::Planned, 1)).is_empty() {
        if patiently!(store.hold_chain(owner, &chain, 1, LEASE, NOW)).is_none() {
            tokio::task::yield_now().await;
            continue;
        }
        for claim in patiently!(store.claim(owner, &chain, 3, 1, LEASE)) {
            let new = transaction(claim.from, 0);
            patiently!(store.record_transaction(Some(&claim), &new, 1));
            mine.push(claim.key);
        }
        patiently!(store.leave_chain(owner, &chain, 0));
    }
    mine
}

async fn two_processes_with_one_key_never_use_a_nonce_twice(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    let fill = |store: Store, salt: u8| async move {
        let signer = transaction(0, 0).signer;
        let mut mine = Vec::new();
        while mine.len() < 40 {
            let nonce = store.free_nonce(&signer, 0).await.unwrap();
            match store.record_transaction(None, &transaction(nonce, salt), 1).await {
                Ok(()) => mine.push(nonce),
                Err(StoreError::NonceTaken(taken)) => assert_eq!(taken, nonce),
                Err(error) => panic!("{error}"),
            }
        }
        mine
    };
    let (first, second) = tokio::join!(tokio::spawn(fill(a.clone(), 1)), tokio::spawn(fill(b, 2)));
    let mut all = [first.unwrap(), second.unwrap()].concat();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..80), "{all:?}");
    let live = a.live(&transaction(0, 0).signer).await.unwrap();
    assert!(live.len() == 80 && live.iter().all(|live| live.transactions.len() == 1));
}

async fn two_processes_with_one_key_never_attest_two_final_headers(place: Place) {
    let (a, b) = (place.open().await, place.open().await);
    let signer = Address::repeat_byte(3);
    let mut refused = 0;
    for height in 0..40 {
        let header = |n: u64| BlockRef {
            height,
            hash: keccak256([height, n].map(u64::to_be_bytes).concat()),
        };
        let sign = |store: Store, header| async move {
            store.journal(&signer, &chain(), header, true, 1).await.unwrap()
        };
        let (one, two) = tokio::join!(
            tokio::spawn(sign(a.clone(), header(1))),
            tokio::spawn(sign(b.clone(), header(2)))
        );
        let answers = [one.unwrap(), two.unwrap()];
        let signed = answers.iter().filter(|answer| **answer == Journaled::Sign).count();
        assert_eq!(signed, 1, "at height {height}: {answers:?}");
        refused += 2 - signed;
    }
    assert_eq!(refused, 40);
}

/// What one of two relayers does next.
#[derive(Debug, Clone)]
enum Step {
    Plan(u64),
    Hold(usize),
    Leave(usize),
    LetGo(usize),
    Claim(usize, u32),
    /// Stores the transaction of the oldest claim that it remembers, however old.
    Record(usize),
    Release(usize),
    /// Settles the lowest open nonce of one of the two keys: included, or failed.
    Settle(usize, usize, bool),
    Finish(u64),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..2_usize;
    let step = prop_oneof![
        2 => (1..6_u64).prop_map(Step::Plan),
        4 => who.clone().prop_map(Step::Hold),
        1 => who.clone().prop_map(Step::Leave),
        1 => who.clone().prop_map(Step::LetGo),
        4 => (who.clone(), 1..4_u32).prop_map(|(who, limit)| Step::Claim(who, limit)),
        5 => who.clone().prop_map(Step::Record),
        1 => who.clone().prop_map(Step::Release),
        3 => (who.clone(), who, any::<bool>()).prop_map(|(by, of, good)| Step::Settle(by, of, good)),
        1 => (1..6_u64).prop_map(Step::Finish),
        2 => (1..40_000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

/// One of two relayers: its connections, its key, and the claims that it has not finished.
struct Actor {
    store: Store,
    name: String,
    signer: Address,
    claims: Vec<Claim>,
}

async fn any_order_of_steps_keeps_the_rows_consistent(place: Place) {
    let stores = [place.open().await, place.open().await];
    let runtime = tokio::runtime::Handle::current();
    // The runner is not asynchronous.
    let run = move || {
        let config =
            ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
        let cases = std::cell::Cell::new(0_u64);
        TestRunner::new(config).run(&steps(), |steps| {
            let case = cases.replace(cases.get() + 1);
            runtime.block_on(play(&stores, case, &steps)).map_err(TestCaseError::fail)
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}

async fn play(stores: &[Store; 2], case: u64, steps: &[Step]) -> Result<(), String> {
    // A chain of its own for each case.
    let chain = ChainId::eip155(1_000 + case);
    let item = |height: u64| NewItem { chain: chain.clone(), ..item(height, height) };
    let mut actors = [0_u8, 1].map(|n| Actor {
        store: stores[usize::from(n)].clone(),
        name: format!("{case}-{n}"),
        signer: Address::left_padding_from(&[case.to_be_bytes().as_slice(), &[n]].concat()),
        claims: Vec::new(),
    });
    let (mut now, mut planned) = (1_000_000_u64, std::collections::BTreeSet::new());
    for step in steps {
        now += 1;
        let done: Result<(), StoreError> = match step {
            Step::Plan(height) => {
                planned.insert(item(*height).key());
                actors[0].store.plan(&item(*height), now, STALE).await.map(drop)
            }
            Step::Hold(who) => {
                let Actor { store, name, .. } = &actors[*who];
                store.hold_chain(name, &chain, now, LEASE, NOW).await.map(drop)
            }
            Step::Leave(who) => {
                actors[*who].store.leave_chain(&actors[*who].name, &chain, now).await
            }
            Step::LetGo(who) => actors[*who].store.let_go(&actors[*who].name).await,
            Step::Claim(who, limit) => {
                let Actor { store, name, claims, .. } = &mut actors[*who];
                let new = store.claim(name, &chain, *limit, now, LEASE).await;
                new.map(|new| claims.extend(new))
            }
            Step::Record(who) => actors[*who].record(now).await,
            Step::Release(who) => {
                let Actor { store, claims, .. } = &mut actors[*who];
                match claims.pop() {
                    Some(claim) => store.release(&claim, true, now, "no", now).await,
                    None => Ok(()),
                }
            }
            Step::Settle(by, of, good) => {
                settle(&actors[*by].store, actors[*of].signer, *good, now).await
            }
            Step::Finish(height) => actors[1].store.finish(&chain, *height, now).await.map(drop),
            Step::Wait(time) => {
                now += time;
                Ok(())
            }
        };
        done.map_err(|error| format!("{step:?}: {error}"))?;
        consistent(&actors, &chain, &planned)
            .await
            .map_err(|error| format!("after {step:?}: {error}"))?;
    }
    Ok(())
}

impl Actor {
    async fn record(&mut self, now: u64) -> Result<(), StoreError> {
        if self.claims.is_empty() {
            return Ok(());
        }
        let claim = self.claims.remove(0);
        let nonce = self.store.free_nonce(&self.signer, 0).await?;
        let salt = u8::try_from(now % 251).unwrap_or_default();
        let new = signed(self.signer, nonce, salt);
        match self.store.record_transaction(Some(&claim), &new, now).await {
            Err(StoreError::LeaseLost(_)) => Ok(()),
            other => other,
        }
    }
}

async fn settle(store: &Store, signer: Address, good: bool, now: u64) -> Result<(), StoreError> {
    let live = store.live(&signer).await?;
    let Some(lowest) = live.first() else { return Ok(()) };
    if good {
        let hash = lowest.transactions[0].hash;
        return store.settle_included(&signer, lowest, &hash, 1, now).await;
    }
    let retry = Retry { reason: "no", next_at: now, counts: true, park: false };
    store.settle_failed(&signer, lowest, None, retry, now).await
}

/// No row is lost; an item is on its way exactly while one open nonce of one key carries it.
async fn consistent(
    actors: &[Actor; 2],
    chain: &ChainId,
    planned: &std::collections::BTreeSet<String>,
) -> Result<(), String> {
    let store = &actors[0].store;
    let mut carried = Vec::new();
    for actor in actors {
        let live = store.live(&actor.signer).await.map_err(|error| error.to_string())?;
        carried.extend(live.into_iter().filter_map(|live| live.item));
    }
    let count = carried.len();
    carried.sort();
    carried.dedup();
    if carried.len() != count {
        return Err(format!("an item is under way twice: {carried:?}"));
    }
    for key in planned {
        let item = store.item(key).await.map_err(|error| error.to_string())?;
        let item = item.ok_or_else(|| format!("{key} of {chain} is lost"))?;
        let under_way = carried.contains(key);
        if (item.stage == Stage::Sent) != under_way {
            return Err(format!("{key} is {}, and under way: {under_way}", item.stage));
        }
    }
    Ok(())
}
