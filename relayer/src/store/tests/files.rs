//! Files that are damaged, foreign, or left by a killed process.

use super::*;

async fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("relayer.db").into()).await.unwrap()
}

#[tokio::test]
async fn unusable_files_are_named_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("garbage.db");
    std::fs::write(&path, vec![0x5a; 8192]).unwrap();
    let error = Store::open(&path.clone().into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("garbage.db") && error.to_string().contains("move it away"));

    // A file that ends in the middle.
    let path = folder.path().join("half.db");
    let store = Store::open(&path.clone().into()).await.unwrap();
    for n in 0..50 {
        store.plan(&item(1 + n, 1 + n), n, STALE).await.unwrap();
    }
    store.close().await;
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2 / 4096 * 4096]).unwrap();
    let error = Store::open(&path.clone().into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");

    // A file of a newer program.
    let path = folder.path().join("newer.db");
    let store = Store::open(&path.clone().into()).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99, 'later', TRUE, x'00', 0)";
    store.write(db::sql("testing", later)).await.unwrap();
    store.close().await;
    let error = Store::open(&path.clone().into()).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 99, known, .. } if known == schema::known()),
        "{error:?}"
    );

    // A folder in the file's place.
    let error = Store::open(&folder.path().to_owned().into()).await.unwrap_err();
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

#[tokio::test]
async fn a_restart_holds_its_chains_at_once() {
    let place = Place::file();
    let store = place.open().await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    assert_eq!(claim(&store, "a", 1, 0).await.len(), 1);
    // Killed: nothing was let go.
    store.close().await;
    let store = place.open().await;
    assert_eq!(claim(&store, "b", 1, 1).await.len(), 1, "no lease is waited for");
}

#[tokio::test]
async fn writes_go_on_after_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let db::Pools::Sqlite { write, .. } = &store.db.pools else { unreachable!("a file") };
    // For this connection alone the file is as large as it may become.
    sqlx::query("PRAGMA max_page_count = 1").execute(write).await.unwrap();
    let mut open = write.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let large = "INSERT INTO events (at, item_key, what, detail) VALUES (0, '', '', $1)";
    let large = sqlx::query(large).bind("x".repeat(1 << 20));
    let full = large.execute(&mut *open).await.unwrap_err();
    assert_eq!(error::code(&full).as_deref(), Some("13"), "{full}");
    drop(open);
    store.plan(&item(1, 5), 1, STALE).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_stays_known_while_the_database_is_only_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let db::Pools::Sqlite { write, .. } = &store.db.pools else { unreachable!("a file") };
    sqlx::query("PRAGMA max_page_count = 1").execute(write).await.unwrap();
    let large = "INSERT INTO events (at, item_key, what, detail) VALUES (0, '', '', $1)";
    let full = store.write(db::sql("testing", large).bind("x".repeat(1 << 20))).await;
    assert!(full.unwrap_err().to_string().contains("free some disk space"));
    let key = item(1, 5).key();
    store.item(&key).await.unwrap();
    assert!(!store.resume(&chain()).await.unwrap(), "there is no pause");
    assert!(store.trouble().is_some(), "nothing was written");
    store.plan(&item(1, 5), 1, STALE).await.unwrap();
    assert_eq!(store.trouble(), None);
}
