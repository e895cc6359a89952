//! What only a server does: refuse, restart, hang, go away.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

use grid_test_nodes::postgres;

use super::*;

fn location(url: &str, password: Option<&str>) -> StoreLocation {
    StoreLocation::Postgres(PostgresConfig::new(url, password).unwrap())
}

async fn refusal(url: &str, password: Option<&str>) -> (OpenFault, String) {
    match Store::open(&location(url, password)).await {
        Err(error @ StoreError::Open { cause, .. }) => (cause, error.to_string()),
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn every_refusal_is_named_with_its_fix() {
    let server = server().await;
    let name = server.database().unwrap().rsplit('/').next().unwrap().to_owned();
    let guarded = server.url_of(postgres::GUARDED, &name);
    let wrong = refusal(&guarded, Some("wrong")).await;
    assert!(wrong.0 == OpenFault::Password && wrong.1.contains("store_password_file"), "{wrong:?}");
    assert!(!wrong.1.contains("\"wrong\""), "{wrong:?}");
    let right = refusal(&guarded, Some(postgres::PASSWORD)).await;
    assert!(right.0 == OpenFault::Permission && right.1.contains("GRANT"), "{right:?}");
    let missing = refusal(&server.url_of(postgres::ROLE, "nothing"), None).await;
    assert!(
        missing.0 == OpenFault::Database && missing.1.contains("CREATE DATABASE"),
        "{missing:?}"
    );
    let stranger = refusal(&server.url_of("stranger", &name), None).await;
    assert!(stranger.0 == OpenFault::Access && stranger.1.contains("pg_hba.conf"), "{stranger:?}");
    let port = grid_test_nodes::ports::free().unwrap();
    let away = refusal(&format!("postgres://grid@127.0.0.1:{port}/grid"), None).await;
    assert!(away.0 == OpenFault::Unreachable && away.1.contains("host and port"), "{away:?}");
    let secure = refusal(&format!("{}?sslmode=require", server.url()), None).await;
    assert!(secure.0 == OpenFault::Tls && secure.1.contains("sslmode"), "{secure:?}");
    // With the right, the same user gets in, by the unix socket too.
    server.sql(&name, "GRANT CREATE ON SCHEMA public TO guarded").unwrap();
    Store::open(&location(&guarded, Some(postgres::PASSWORD))).await.unwrap();
    let (folder, port) = (server.socket().display(), server.port());
    let socket = format!("postgres:///{name}?host={folder}&port={port}&user=guarded");
    let store = Store::open(&location(&socket, None)).await.unwrap();
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
}

#[tokio::test]
async fn a_newer_and_a_foreign_schema_are_left_alone() {
    let place = Place::server().await;
    place.open().await.close().await;
    let name = place.location.to_string().rsplit('/').next().unwrap().to_owned();
    let server = place.server.clone().unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', TRUE, '\\x00', 0)";
    server.sql(&name, later).unwrap();
    let error = Store::open(&place.location).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error:?}");
    let other = "DELETE FROM _sqlx_migrations WHERE version = 99; \
                 UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1";
    server.sql(&name, other).unwrap();
    let error = Store::open(&place.location).await.unwrap_err();
    assert!(matches!(error, StoreError::Incompatible { version: 1, .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_relayers_may_make_the_tables_at_the_same_time() {
    let place = Arc::new(Place::server().await);
    let open =
        |place: Arc<Place>| async move { place.open().await.relayers(0).await.unwrap().len() };
    let opened: Vec<_> = (0..4).map(|_| tokio::spawn(open(place.clone()))).collect();
    for opened in opened {
        assert_eq!(opened.await.unwrap(), 0);
    }
}

/// Plans items one after the other until it is told to stop; counts those that were confirmed.
async fn write(store: Store, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) -> u64 {
    let mut failures = 0;
    while !stop.load(Ordering::Relaxed) {
        let height = written.load(Ordering::Relaxed) + 1;
        match store.plan(&item(height, height), height, STALE).await {
            Ok(_) => written.store(height, Ordering::Relaxed),
            Err(error) => {
                assert!(error.is_transient(), "{error:?}");
                failures += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    failures
}

/// Waits for something that has to come.
async fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_comes_back_has_lost_nothing() {
    let mut server = Postgres::start().await.unwrap();
    let store = Store::open(&location(&server.url(), None)).await.unwrap();
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = tokio::spawn(write(store.clone(), stop.clone(), written.clone()));
    for round in 0..3 {
        let before = written.load(Ordering::Relaxed);
        until("rows", || written.load(Ordering::Relaxed) >= before + 5).await;
        if round == 1 {
            server.stop().await.unwrap();
        } else {
            server.kill().unwrap();
        }
        until("trouble", || store.trouble().is_some()).await;
        server.start_again().await.unwrap();
        until("no trouble", || store.trouble().is_none()).await;
    }
    stop.store(true, Ordering::Relaxed);
    let failures = writer.await.unwrap();
    let written = written.load(Ordering::Relaxed);
    assert!(failures >= 3, "{failures} failures");
    let rows = store.items(&chain(), Stage::Planned, 1_000_000).await.unwrap();
    let heights: Vec<_> = rows.iter().map(|row| row.from).collect();
    assert!(heights.iter().copied().eq(1..=written), "{written} written, {} there", heights.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_given_up_in_time_and_taken_up_again() {
    let server = Postgres::start().await.unwrap();
    let store = Store::open(&location(&server.url(), None)).await.unwrap();
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    server.pause().unwrap();
    let asked = Instant::now();
    let error = store.item("x").await.unwrap_err();
    assert!(error.is_transient() && asked.elapsed() < 2 * db::DEADLINE, "{error:?}");
    assert!(store.trouble().is_some());
    // More questions than there are connections: none of those that hang may keep its place.
    let questions = (0..2 * 8).map(|_| store.item("x"));
    assert!(futures::future::join_all(questions).await.iter().all(Result::is_err));
    server.resume().unwrap();
    let back = Instant::now();
    while store.item(&item(1, 5).key()).await.is_err() {
        assert!(back.elapsed() < 3 * ACQUIRE, "{:?}", store.trouble());
    }
    assert!(store.trouble().is_none());
}

#[tokio::test]
async fn what_strangers_write_cannot_keep_a_row_from_being_stored() {
    let place = Place::server().await;
    let store = place.open().await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    let taken = claim(&store, "a", 1, 1).await;
    store.release(&taken[0], true, 9, "an answer with \0 in it", 2).await.unwrap();
    let item = store.item(&taken[0].key).await.unwrap().unwrap();
    assert_eq!(item.reason.as_deref(), Some("an answer with \u{fffd} in it"));
}
