//! The nonce owner against a main chain that enforces nonces.

use core::time::Duration;
use std::sync::Arc;

use alloy_primitives::{B256, U256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall as _, SolValue as _};
use grid_core::{
    ChainId, CompatHeader, api::BlockRef, ethereum::attest::AttesterSet, modules::abi::LightClients,
};

use super::*;
use crate::{
    attest,
    sim::{Faults, SimMain},
    store::{Claim, Kind, NewItem, Stage},
};

const LEASE: Duration = Duration::from_secs(30);
const TERMS: Terms = Terms { chain_id: 7, base_fee: 1_000 };

struct Bench {
    faults: Arc<Faults>,
    main: Arc<SimMain>,
    store: Store,
    submitter: Submitter,
    signer: PrivateKeySigner,
    folder: tempfile::TempDir,
    now: u64,
}

fn header(height: u64) -> CompatHeader {
    let hash = |height: u64| alloy_primitives::keccak256(height.to_be_bytes());
    CompatHeader {
        chain: chain().key().0,
        height,
        blockHash: hash(height),
        parentHash: hash(height.wrapping_sub(1)),
        time: 0,
        txRoot: B256::ZERO,
        receiptsRoot: B256::ZERO,
        stateRoot: B256::ZERO,
        indexRoot: B256::ZERO,
    }
}

fn chain() -> ChainId {
    ChainId::eip155(31_337)
}

fn attester() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap()
}

fn item(height: u64) -> NewItem {
    let last = BlockRef { height, hash: header(height).blockHash };
    let signatures = attest::sign(&[attester()], chain().key(), last).unwrap();
    let call = LightClients::submitAttestedHeadersCall {
        chain: chain().key().0,
        headers: vec![header(height).abi_encode().into()],
        signatures: signatures.into_iter().map(Into::into).collect(),
    };
    let header = header(height);
    NewItem {
        kind: Kind::Headers,
        chain: chain(),
        from: height,
        parent: header.parentHash,
        last,
        payload: call.abi_encode().into(),
    }
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::new(1);
        let attesters = AttesterSet::new(1, vec![attester().address()]).unwrap();
        let main = Arc::new(SimMain::new(faults.clone(), attesters));
        let base = BlockRef { height: 0, hash: header(0).blockHash };
        main.register(&chain(), base, grid_core::Level::L0);
        let signer = PrivateKeySigner::random();
        let store = Store::open_volatile(&folder.path().join("relayer.db")).await.unwrap();
        let submitter = Self::submitter(&main, &store, &signer);
        Self { faults, main, store, submitter, signer, folder, now: 1_000_000 }
    }

    fn submitter(main: &Arc<SimMain>, store: &Store, signer: &PrivateKeySigner) -> Submitter {
        let config = SubmitConfig { max_attempts: 3, ..SubmitConfig::default() };
        let metrics = Arc::new(Metrics::new().unwrap());
        let main: Arc<dyn MainChain> = main.clone();
        let submitter =
            Submitter::new(main, store.clone(), signer.clone(), config, metrics, Board::default());
        submitter.set_terms(TERMS);
        submitter
    }

    /// A new process on the same file.
    async fn restart(&mut self) {
        self.store.close().await;
        self.store = Store::open_volatile(&self.folder.path().join("relayer.db")).await.unwrap();
        self.submitter = Self::submitter(&self.main, &self.store, &self.signer);
    }

    async fn claim(&self, limit: u32) -> Vec<Claim> {
        let (store, now) = (&self.store, self.now);
        store.hold_chain("w", &chain(), now, LEASE, Duration::ZERO).await.unwrap();
        store.claim("w", &chain(), limit, now, LEASE).await.unwrap()
    }

    async fn submit(&mut self, heights: core::ops::RangeInclusive<u64>) {
        for height in heights {
            let item = item(height);
            self.store.plan(&item, self.now, Duration::ZERO).await.unwrap();
            self.hand_in().await;
        }
    }

    /// Hands in everything that is planned.
    async fn hand_in(&self) {
        self.hand_in_claims(&self.claim(9).await).await;
    }

    async fn hand_in_claims(&self, claims: &[Claim]) {
        let HandedIn { count, stopped } = self.submitter.hand_in(claims, TERMS, self.now).await;
        assert!(stopped.is_none(), "{stopped:?}");
        assert_eq!(count, claims.len());
    }

    /// Blocks and looks until no transaction is open; hands in again what was planned anew.
    async fn finish(&mut self) {
        for _ in 0..60 {
            self.main.mine();
            self.now += 1_100;
            self.submitter.settle(self.now).await.unwrap();
            self.hand_in().await;
            let open = self.store.live(&self.submitter.address()).await.unwrap();
            let planned = self.store.items(&chain(), Stage::Planned, 9).await.unwrap();
            if open.is_empty() && planned.is_empty() {
                return;
            }
        }
        panic!("still open: {:?}", self.store.live(&self.submitter.address()).await);
    }

    async fn stage(&self, height: u64) -> Stage {
        self.store.item(&item(height).key()).await.unwrap().unwrap().stage
    }

    fn tip(&self) -> u64 {
        self.main.tracked(&chain()).unwrap().height
    }
}

#[tokio::test]
async fn several_items_in_flight_are_included_in_order() {
    let mut bench = Bench::new().await;
    bench.submit(1..=4).await;
    assert_eq!(bench.main.waiting(), 4);
    bench.finish().await;
    assert_eq!((bench.tip(), bench.main.nonce(&bench.signer.address())), (4, 4));
    assert_eq!(bench.stage(4).await, Stage::Included);
}

#[tokio::test]
async fn a_crash_before_sending_sends_the_stored_bytes() {
    let mut bench = Bench::new().await;
    let item = item(1);
    bench.store.plan(&item, bench.now, LEASE).await.unwrap();
    let claims = bench.claim(1).await;
    // The first call asks for the account, the second would send.
    bench.faults.light_fuse(2);
    let submit = bench.submitter.hand_in(&claims, TERMS, bench.now);
    assert!(tokio::time::timeout(Duration::from_millis(300), submit).await.is_err(), "killed");
    bench.faults.light_fuse(0);
    assert_eq!(bench.main.waiting(), 0);
    bench.restart().await;
    assert_eq!(bench.stage(1).await, Stage::Sent);
    bench.submitter.settle(bench.now).await.unwrap();
    assert_eq!(bench.main.waiting(), 1);
    bench.finish().await;
    assert_eq!((bench.tip(), bench.main.nonce(&bench.signer.address())), (1, 1));
}

#[tokio::test]
async fn a_lost_mempool_is_filled_again() {
    let mut bench = Bench::new().await;
    bench.submit(1..=3).await;
    bench.main.forget_mempool();
    bench.restart().await;
    bench.finish().await;
    assert_eq!((bench.tip(), bench.main.nonce(&bench.signer.address())), (3, 3));
}

#[tokio::test]
async fn rows_behind_the_account_are_given_up_and_their_items_sent_anew() {
    let mut bench = Bench::new().await;
    bench.submit(1..=2).await;
    bench.main.forget_mempool();
    // Somebody else uses two nonces of the key.
    bench.main.use_nonce(&bench.signer.address());
    bench.main.use_nonce(&bench.signer.address());
    bench.restart().await;
    bench.finish().await;
    assert_eq!((bench.tip(), bench.main.nonce(&bench.signer.address())), (2, 4));
}

#[tokio::test]
async fn a_gap_below_open_rows_is_filled() {
    let mut bench = Bench::new().await;
    bench.submit(1..=3).await;
    bench.main.forget_mempool();
    // The database lost the first row: an old copy was restored.
    let signer = bench.signer.address();
    let live = bench.store.live(&signer).await.unwrap();
    bench.store.settle_known(&signer, &live[0], "lost", bench.now).await.unwrap();
    bench.restart().await;
    for _ in 0..20 {
        bench.main.mine();
        bench.now += 1_000;
        bench.submitter.settle(bench.now).await.unwrap();
    }
    assert!(bench.main.nonce(&signer) >= 3, "the gap was not filled");
}

#[tokio::test]
async fn a_main_chain_that_was_set_back_gets_new_transactions() {
    let mut bench = Bench::new().await;
    for _ in 0..40 {
        bench.main.use_nonce(&bench.signer.address());
    }
    bench.submit(1..=2).await;
    bench.main.wipe();
    bench.restart().await;
    bench.finish().await;
    assert_eq!((bench.tip(), bench.main.nonce(&bench.signer.address())), (2, 2));
}

#[tokio::test]
async fn known_content_is_done_and_poison_is_parked() {
    let mut bench = Bench::new().await;
    bench.submit(1..=1).await;
    bench.finish().await;
    // The same content once more, refused for free.
    bench.now += 100_000;
    bench.submit(1..=1).await;
    assert_eq!(bench.stage(1).await, Stage::Sent);
    bench.now += 100;
    bench.submitter.settle(bench.now).await.unwrap();
    bench.now += 4_000;
    bench.submitter.settle(bench.now).await.unwrap();
    assert_eq!(bench.stage(1).await, Stage::Included);
    assert_eq!(bench.main.nonce(&bench.signer.address()), 1);
    // A header whose parent nobody has.
    bench.submit(9..=9).await;
    bench.finish().await;
    let parked = bench.store.item(&item(9).key()).await.unwrap().unwrap();
    assert_eq!((parked.stage, parked.attempt), (Stage::Parked, 3));
    assert!(parked.reason.unwrap().contains("reverted"));
    // It blocks nobody else's nonce.
    bench.submit(2..=2).await;
    bench.finish().await;
    assert_eq!(bench.tip(), 2);
}

#[tokio::test]
async fn a_stuck_transaction_is_replaced_with_higher_fees() {
    let mut bench = Bench::new().await;
    bench.submit(1..=1).await;
    let before = bench.store.live(&bench.signer.address()).await.unwrap();
    bench.now += 31_000;
    bench.submitter.settle(bench.now).await.unwrap();
    let after = bench.store.live(&bench.signer.address()).await.unwrap();
    assert_eq!(after[0].transactions.len(), 2);
    assert!(after[0].transactions[1].max_fee * 10 > before[0].transactions[0].max_fee * 11);
    assert_eq!(bench.main.waiting(), 1);
    bench.finish().await;
    assert_eq!((bench.tip(), bench.main.nonce(&bench.signer.address())), (1, 1));
}

impl Bench {
    /// Plans items and claims them all.
    async fn planned(&self, heights: core::ops::RangeInclusive<u64>) -> Vec<Claim> {
        let items: Vec<_> = heights.map(item).collect();
        self.store.plan_all(&items, self.now, LEASE).await.unwrap();
        self.claim(9).await
    }
}

#[tokio::test]
async fn of_several_items_those_are_handed_in_that_the_account_can_pay_together() {
    let bench = Bench::new().await;
    let claims = bench.planned(1..=4).await;
    let balance = bench.main.account(&bench.submitter.address()).await.unwrap().balance;
    let gas = U256::from(crate::evidence::gas_limit(&claims[0].payload, claims[0].headers()));
    // A fee cap is twice the base fee: the balance pays two items and a half.
    let terms = Terms { base_fee: (balance / gas / U256::from(5)).to(), ..TERMS };
    let HandedIn { count, stopped } = bench.submitter.hand_in(&claims, terms, bench.now).await;
    assert_eq!((count, bench.main.waiting()), (2, 2));
    assert!(matches!(stopped, Some(SubmitError::Funds { .. })), "{stopped:?}");
    assert_eq!((bench.stage(2).await, bench.stage(3).await), (Stage::Sent, Stage::Planned));
}

#[tokio::test]
async fn of_several_items_those_are_handed_in_that_come_before_a_lost_one() {
    let bench = Bench::new().await;
    let claims = bench.planned(1..=4).await;
    bench.store.park(&claims[2].key, "an operator's wish", bench.now).await.unwrap();
    let HandedIn { count, stopped } = bench.submitter.hand_in(&claims, TERMS, bench.now).await;
    assert_eq!((count, bench.main.waiting()), (2, 2));
    let lost = Some(&claims[2].key);
    let found = stopped.as_ref().and_then(|error| match error {
        SubmitError::Store(StoreError::LeaseLost(key)) => Some(key),
        _ => None,
    });
    assert_eq!(found, lost, "{stopped:?}");
    // The nonces of the others were not kept.
    let live = bench.store.live(&bench.signer.address()).await.unwrap();
    assert_eq!(live.iter().map(|row| row.nonce).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn a_main_chain_that_falls_silent_gets_the_rest_with_the_next_look() {
    let mut bench = Bench::new().await;
    let claims = bench.planned(1..=4).await;
    // Every call fails from now on, before or after it takes effect: also the first.
    bench.faults.set(crate::sim::Rates { fail: 1, ..Default::default() });
    let failed = bench.submitter.hand_in(&claims, TERMS, bench.now).await;
    assert_eq!(failed.count, 0, "the account is not known");
    bench.faults.set(crate::sim::Rates::default());
    bench.hand_in_claims(&claims).await;
    bench.main.forget_mempool();
    bench.finish().await;
    assert_eq!((bench.tip(), bench.main.nonce(&bench.signer.address())), (4, 4));
}

/// A relayer with another key on the same database.
impl Bench {
    fn other(&self) -> Submitter {
        Self::submitter(&self.main, &self.store, &PrivateKeySigner::random())
    }
}

#[tokio::test]
async fn what_a_dead_relayer_left_is_brought_to_its_end_by_another_key() {
    let mut bench = Bench::new().await;
    bench.submit(1..=3).await;
    // It dies, and nothing of what it sent has arrived.
    bench.main.forget_mempool();
    let other = bench.other();
    let signer = bench.signer.address();
    for _ in 0..20 {
        bench.main.mine();
        bench.now += 3_500;
        other.settle(bench.now).await.unwrap();
    }
    assert!(bench.store.live(&signer).await.unwrap().is_empty());
    let included = bench.store.items(&chain(), Stage::Included, 9).await.unwrap();
    assert_eq!(included.len(), 3, "with the dead one's own transactions");
    assert!(included.iter().all(|item| item.attempt == 0));
    assert!(bench.store.live(&other.address()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_dead_relayer_left_behind_a_gap_is_planned_again() {
    let mut bench = Bench::new().await;
    bench.submit(1..=2).await;
    let signer = bench.signer.address();
    // The first of its transactions is known to nobody any more.
    let live = bench.store.live(&signer).await.unwrap();
    let retry = crate::store::Retry { reason: "lost", next_at: 0, counts: false, park: false };
    bench.store.settle_failed(&signer, &live[0], None, retry, bench.now).await.unwrap();
    bench.main.forget_mempool();
    let other = bench.other();
    for _ in 0..20 {
        bench.main.mine();
        bench.now += 3_500;
        other.settle(bench.now).await.unwrap();
    }
    assert!(bench.store.live(&signer).await.unwrap().is_empty(), "nobody waits for the gap");
    let planned = bench.store.items(&chain(), Stage::Planned, 9).await.unwrap();
    assert_eq!(planned.len(), 2);
    // The relayer that lives looks after its own key; nobody else does.
    let me = crate::store::RelayerRow { owner: "w".into(), signer, started_at: 0 };
    bench.store.beat(&me, bench.now, LEASE).await.unwrap();
    bench.submit(9..=9).await;
    let before = bench.store.live(&signer).await.unwrap();
    bench.now += 3_500;
    other.settle(bench.now).await.unwrap();
    assert_eq!(bench.store.live(&signer).await.unwrap(), before);
}
