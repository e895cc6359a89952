//! The store on real files.

use core::{future::Future, pin::Pin, task::Poll, time::Duration};

use alloy_primitives::{Address, Bytes, keccak256};
use grid_core::{ChainId, api::BlockRef};

use super::*;

const LEASE: Duration = Duration::from_secs(30);
const STALE: Duration = Duration::from_secs(60);

fn chain() -> ChainId {
    ChainId::eip155(31_337)
}

fn item(from: u64, to: u64) -> NewItem {
    NewItem {
        kind: Kind::Headers,
        chain: chain(),
        from,
        parent: keccak256((from - 1).to_be_bytes()),
        last: BlockRef { height: to, hash: keccak256(to.to_be_bytes()) },
        payload: Bytes::from(vec![7; 100]),
    }
}

fn transaction(nonce: u64, salt: u8) -> NewTransaction {
    NewTransaction {
        hash: keccak256([&nonce.to_be_bytes()[..], &[salt]].concat()),
        signer: Address::repeat_byte(1),
        nonce,
        raw: Bytes::from_static(&[2, 3]),
        max_fee: u128::MAX,
        priority_fee: 1,
    }
}

async fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("relayer.db")).await.unwrap()
}

#[tokio::test]
async fn an_item_goes_its_way_and_survives_reopening_at_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert_eq!(store.plan(&item(1, 5), 10, STALE).await.unwrap(), Planned::Inserted);
    let again = store.plan(&item(1, 5), 11, STALE).await.unwrap();
    assert_eq!(again, Planned::Exists(Stage::Planned));
    store.close().await;

    let store = open(&folder).await;
    let claims = store.claim("a", &chain(), 9, 20, LEASE).await.unwrap();
    assert_eq!((claims.len(), claims[0].headers()), (1, 5));
    assert_eq!(claims[0].payload, item(1, 5).payload);
    store.close().await;

    let store = open(&folder).await;
    let first = transaction(0, 0);
    store.record_transaction(Some(&claims[0]), &first, 30).await.unwrap();
    let live = store.live(&first.signer).await.unwrap();
    assert_eq!(live[0].transactions[0].max_fee, u128::MAX);
    assert_eq!(store.raw_transaction(&first.hash).await.unwrap(), Some(first.raw.clone()));
    store.settle_included(&first.signer, &live[0], &first.hash, 3, 40).await.unwrap();
    store.close().await;

    let store = open(&folder).await;
    assert!(store.live(&first.signer).await.unwrap().is_empty());
    assert_eq!(store.finish(&chain(), 4, 50).await.unwrap(), 0);
    assert_eq!(store.finish(&chain(), 5, 50).await.unwrap(), 1);
    let done = store.item(&item(1, 5).key()).await.unwrap().unwrap();
    assert_eq!((done.stage, done.tx_hash), (Stage::Done, Some(first.hash)));
    let events: Vec<_> =
        store.events(&done.key).await.unwrap().into_iter().map(|event| event.what).collect();
    assert_eq!(events, ["planned", "signed", "included"]);
}

#[tokio::test]
async fn a_lease_keeps_others_away_until_it_ends_and_its_late_holder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    let slow = store.claim("slow", &chain(), 1, 0, LEASE).await.unwrap().remove(0);
    assert!(store.claim("fast", &chain(), 1, 29_999, LEASE).await.unwrap().is_empty());
    let fast = store.claim("fast", &chain(), 1, 30_000, LEASE).await.unwrap().remove(0);
    let refused = store.record_transaction(Some(&slow), &transaction(0, 0), 30_001).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(_))), "{refused:?}");
    let nothing = store.live(&transaction(0, 0).signer).await.unwrap();
    assert!(nothing.is_empty(), "a refused result leaves nothing behind");
    store.release(&slow, true, 0, "late", 30_002).await.unwrap();
    store.record_transaction(Some(&fast), &transaction(0, 1), 30_003).await.unwrap();
    let item = store.item(&fast.key).await.unwrap().unwrap();
    assert_eq!((item.stage, item.attempt, item.nonce), (Stage::Sent, 0, Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_race_never_share_an_item() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for n in 0..40 {
        store.plan(&item(1 + 5 * n, 5 + 5 * n), 0, STALE).await.unwrap();
    }
    let path = store.path().to_owned();
    let workers = (0..4).map(|worker| {
        let path = path.clone();
        tokio::spawn(async move {
            // Each has its own connection to the file, as another process would.
            let store = Store::open(&path).await.unwrap();
            let mut mine = Vec::new();
            loop {
                let claims =
                    store.claim(&format!("w{worker}"), &chain(), 3, 1, LEASE).await.unwrap();
                if claims.is_empty() {
                    return mine;
                }
                for claim in claims {
                    // Frees the items behind it, as a real submission does.
                    let nonce = claim.from;
                    store
                        .record_transaction(Some(&claim), &transaction(nonce, 0), 2)
                        .await
                        .unwrap();
                    mine.push(claim.key);
                }
            }
        })
    });
    let mut all = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await.unwrap());
    }
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "an item was claimed twice");
    // A worker may stop while another holds the item in front; the rest is claimed afterwards.
    let rest = store.claim("last", &chain(), 100, 2, LEASE).await.unwrap().len();
    assert_eq!(count + rest, 40);
}

#[tokio::test]
async fn items_behind_a_paused_or_parked_one_wait() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    store.plan(&item(6, 9), 0, STALE).await.unwrap();
    let first = store.claim("a", &chain(), 1, 1, LEASE).await.unwrap().remove(0);
    assert!(store.claim("b", &chain(), 9, 2, LEASE).await.unwrap().is_empty(), "leased in front");
    store.release(&first, true, 1_000, "no", 3).await.unwrap();
    assert!(store.claim("b", &chain(), 9, 999, LEASE).await.unwrap().is_empty(), "paused in front");
    assert!(store.park(&first.key, "poison", 5).await.unwrap());
    assert!(
        store.claim("b", &chain(), 9, 5_000, LEASE).await.unwrap().is_empty(),
        "parked in front"
    );
    assert!(store.retry(&first.key, 6).await.unwrap());
    assert_eq!(store.claim("b", &chain(), 9, 5_000, LEASE).await.unwrap().len(), 2);
    assert!(!store.retry(&first.key, 7).await.unwrap());
}

#[tokio::test]
async fn finished_items_are_revived_only_when_they_are_stale() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    store.finish(&chain(), 5, 100).await.unwrap();
    let early = store.plan(&item(1, 5), 60_099, STALE).await.unwrap();
    assert_eq!(early, Planned::Exists(Stage::Done));
    assert_eq!(store.plan(&item(1, 5), 60_100, STALE).await.unwrap(), Planned::Revived);
    let claim = store.claim("a", &chain(), 1, 60_200, LEASE).await.unwrap().remove(0);
    assert_eq!(claim.payload, item(1, 5).payload);
    assert!(store.drop_item(&claim.key, "by hand", 60_300).await.unwrap());
    assert_eq!(store.plan(&item(1, 5), 60_301, STALE).await.unwrap(), Planned::Revived);
}

#[tokio::test]
async fn nonces_are_given_out_without_gaps_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let signer = transaction(0, 0).signer;
    for nonce in [3, 4, 6] {
        store.record_transaction(None, &transaction(nonce, 0), 1).await.unwrap();
    }
    assert_eq!(store.free_nonce(&signer, 0).await.unwrap(), 0);
    assert_eq!(store.free_nonce(&signer, 3).await.unwrap(), 5);
    assert_eq!(store.free_nonce(&signer, 6).await.unwrap(), 7);
    let taken = store.record_transaction(None, &transaction(4, 1), 2).await;
    assert!(matches!(taken, Err(StoreError::NonceTaken(4))), "{taken:?}");
    let live = store.live(&signer).await.unwrap();
    let retry = Retry { reason: "gone", next_at: 0, counts: false, park: false };
    store.settle_failed(&signer, &live[1], None, retry, 3).await.unwrap();
    // A main chain that was set back asks for a closed nonce again, even with the same bytes.
    store.record_transaction(None, &transaction(4, 0), 4).await.unwrap();
    assert_eq!(store.live(&signer).await.unwrap().len(), 3);
}

/// Polls a future a limited number of times: dropping it afterwards is a crash at that await.
struct Polls<F>(Pin<Box<F>>, usize);

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut core::task::Context<'_>) -> Poll<Self::Output> {
        if self.1 == 0 {
            return Poll::Ready(None);
        }
        self.1 -= 1;
        self.0.as_mut().poll(cx).map(Some)
    }
}

/// The whole way of an item, idempotent from any point on.
async fn work(store: &Store, now: u64) {
    let signer = transaction(0, 0).signer;
    store.plan(&item(1, 5), now, STALE).await.unwrap();
    for claim in store.claim(&format!("w{now}"), &chain(), 1, now, LEASE).await.unwrap() {
        let nonce = store.free_nonce(&signer, 0).await.unwrap();
        store.record_transaction(Some(&claim), &transaction(nonce, 0), now).await.unwrap();
    }
    for live in store.live(&signer).await.unwrap() {
        let hash = live.transactions[0].hash;
        store.settle_included(&signer, &live, &hash, 1, now).await.unwrap();
    }
}

#[tokio::test]
async fn a_crash_at_any_await_loses_nothing_and_uses_one_nonce() {
    let mut crashed = 0;
    for polls in 1..400 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relayer.db");
        let store = Store::open_volatile(&path).await.unwrap();
        let finished = Polls(Box::pin(work(&store, 1)), polls).await.is_some();
        store.close().await;
        crashed += usize::from(!finished);
        // The next process takes over when the lease has ended.
        let store = Store::open_volatile(&path).await.unwrap();
        work(&store, 40_000).await;
        let item = store.item(&item(1, 5).key()).await.unwrap().unwrap();
        assert_eq!(item.stage, Stage::Included, "after {polls} polls");
        let used = store.free_nonce(&transaction(0, 0).signer, 0).await.unwrap();
        assert_eq!(used, 0, "after {polls} polls a nonce is still open");
        let all: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM nonces")
            .fetch_one(store.reader())
            .await
            .unwrap();
        assert_eq!(all, 1, "after {polls} polls");
        if finished {
            assert!(crashed > 10, "only {crashed} crashes tried");
            return;
        }
    }
    panic!("the work never finished");
}

#[tokio::test]
async fn old_finished_work_is_deleted_and_open_work_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for n in 0..30 {
        store.plan(&item(1 + n, 1 + n), n, STALE).await.unwrap();
    }
    for n in 0..20 {
        store.finish(&chain(), 1 + n, 100 + n).await.unwrap();
    }
    for nonce in 0..10 {
        store.record_transaction(None, &transaction(nonce, 0), nonce).await.unwrap();
        let live = store.live(&transaction(0, 0).signer).await.unwrap();
        let hash = transaction(nonce, 0).hash;
        store.settle_included(&transaction(0, 0).signer, &live[0], &hash, 1, nonce).await.unwrap();
    }
    let day = Duration::from_secs(86_400);
    assert!(store.prune(200, day, 5, 1_000).await.unwrap() > 0);
    let done = store.items(&chain(), Stage::Done, 100).await.unwrap();
    assert_eq!(done.len(), 5, "the newest stay");
    assert_eq!(store.items(&chain(), Stage::Planned, 100).await.unwrap().len(), 10);
    store.prune(millis(day) * 2, day, 5, 1_000).await.unwrap();
    assert!(store.items(&chain(), Stage::Done, 100).await.unwrap().is_empty());
    assert_eq!(store.items(&chain(), Stage::Planned, 100).await.unwrap().len(), 10);
}

#[tokio::test]
async fn chain_trouble_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert_eq!(store.chain(&chain()).await.unwrap(), ChainRow::default());
    let row = ChainRow {
        state: ChainState::Halted,
        attempt: 3,
        next_at: 99,
        reason: Some("wrong network".into()),
    };
    store.set_chain(&chain(), &row, 1).await.unwrap();
    store.close().await;
    assert_eq!(open(&folder).await.chain(&chain()).await.unwrap(), row);
}

#[tokio::test]
async fn unusable_files_are_named_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("garbage.db");
    std::fs::write(&path, vec![0x5a; 8192]).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("garbage.db") && error.to_string().contains("move it away"));

    // A file that ends in the middle.
    let path = folder.path().join("half.db");
    let store = Store::open(&path).await.unwrap();
    for n in 0..50 {
        store.plan(&item(1 + n, 1 + n), n, STALE).await.unwrap();
    }
    store.close().await;
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2 / 4096 * 4096]).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");

    // A file of a newer program.
    let path = folder.path().join("newer.db");
    let store = Store::open(&path).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', TRUE, x'00', 0)",
    )
    .execute(store.writer())
    .await
    .unwrap();
    store.close().await;
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 3, .. }), "{error:?}");

    // A folder in the file's place.
    let error = Store::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
}

#[tokio::test]
async fn an_unfinished_write_ahead_log_is_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    // A copy of the files while they are in use is what a killed process leaves.
    let copy = tempfile::tempdir().unwrap();
    for name in ["relayer.db", "relayer.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let wal = copy.path().join("relayer.db-wal");
    let mut bytes = std::fs::read(&wal).unwrap();
    bytes.extend_from_slice(&[0xaa; 1000]);
    std::fs::write(&wal, bytes).unwrap();
    let found = open(&copy).await.item(&item(1, 5).key()).await.unwrap();
    assert_eq!(found.unwrap().stage, Stage::Planned);
}
