//! The node's store beside the alternative of docs/adr/0003: durable commits of what a block of transfers changes, in a state of
//! 1,000,000 rows.
//!
//! `redb` (a B-tree in Rust, as the node uses it) and `SQLite` (write-ahead log, full synchronisation) get the same rows. Both return when
//! everything is on the disk. `GRID_BENCH_ROWS` sets another size of the state.
#![allow(missing_docs)]

use std::{path::Path, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use redb::{Database, TableDefinition};
use sqlx::{
    ConnectOptions as _, Connection as _, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::runtime::Runtime;

/// Rows that the state is filled with at once, and that one statement of `SQLite` writes at most.
const PART: usize = 10_000;
const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");
const STATE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("state");
/// Memory for pages, as the node has it.
const CACHE: usize = 32 * 1024 * 1024;

/// What a block changes.
struct Change {
    height: u64,
    written: Vec<[u8; 32]>,
    removed: Vec<[u8; 32]>,
    block: Vec<u8>,
}

/// A key; spread over the whole state, as hashes are.
fn row(n: u64) -> [u8; 32] {
    alloy_primitives::keccak256(n.to_be_bytes()).0
}

fn rows() -> u64 {
    std::env::var("GRID_BENCH_ROWS").map_or(1_000_000, |rows| rows.parse().expect("a number"))
}

/// A block of transfers writes two values and about eight nodes of the tree for each, and removes as many nodes.
fn change(height: u64, transfers: u64) -> Change {
    let start = rows() + height * 100_000;
    let count = transfers * 10;
    Change {
        height,
        written: (start..start + count).map(row).collect(),
        removed: (0..transfers * 8).map(|n| row((height * 16_001 + n) % rows())).collect(),
        block: vec![7; usize::try_from(transfers).unwrap() * 150],
    }
}

/// What the state holds before the measured blocks.
fn filling() -> impl Iterator<Item = Change> {
    (0..rows()).step_by(PART).map(|start| Change {
        height: 0,
        written: (start..start + PART as u64).map(row).collect(),
        removed: Vec::new(),
        block: vec![0; 600],
    })
}

const VALUE: [u8; 96] = [1; 96];

struct Redb(Database);

impl Redb {
    fn new(directory: &Path) -> Self {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE);
        Self(builder.create(directory.join("chain.redb")).unwrap())
    }

    fn commit(&self, change: &Change) {
        let mut write = self.0.begin_write().unwrap();
        write.set_quick_repair(true);
        {
            let mut state = write.open_table(STATE).unwrap();
            for key in &change.written {
                state.insert(key.as_slice(), VALUE.as_slice()).unwrap();
            }
            for key in &change.removed {
                state.remove(key.as_slice()).unwrap();
            }
            let mut blocks = write.open_table(BLOCKS).unwrap();
            blocks.insert(change.height, change.block.as_slice()).unwrap();
        }
        write.commit().unwrap();
    }
}

struct Lite {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Lite {
    fn new(directory: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(directory.join("chain.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", format!("-{}", CACHE / 1024));
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await.unwrap();
            for table in [
                "CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID",
                "CREATE TABLE blocks (height INTEGER PRIMARY KEY, body BLOB)",
            ] {
                sqlx::query(table).execute(&mut connection).await.unwrap();
            }
            connection
        });
        Self { runtime, connection }
    }

    fn commit(&mut self, change: &Change) {
        self.runtime.block_on(async {
            let mut write = self.connection.begin().await.unwrap();
            for keys in change.written.chunks(PART) {
                let mut query: QueryBuilder<Sqlite> =
                    QueryBuilder::new("INSERT OR REPLACE INTO state ");
                query.push_values(keys, |mut row, key| {
                    row.push_bind(key.as_slice()).push_bind(VALUE.as_slice());
                });
                query.build().execute(&mut *write).await.unwrap();
            }
            for keys in change.removed.chunks(PART) {
                let mut query: QueryBuilder<Sqlite> =
                    QueryBuilder::new("DELETE FROM state WHERE key IN (");
                let mut list = query.separated(", ");
                for key in keys {
                    list.push_bind(key.as_slice());
                }
                query.push(")");
                query.build().execute(&mut *write).await.unwrap();
            }
            sqlx::query("INSERT OR REPLACE INTO blocks VALUES (?, ?)")
                .bind(i64::try_from(change.height).unwrap())
                .bind(change.block.as_slice())
                .execute(&mut *write)
                .await
                .unwrap();
            write.commit().await.unwrap();
        });
    }
}

fn commits(c: &mut Criterion) {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (redb, mut lite) = (Redb::new(one.path()), Lite::new(two.path()));
    for part in filling() {
        redb.commit(&part);
        lite.commit(&part);
    }
    let mut group = c.benchmark_group("commit a block");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let mut height = 0;
    let mut next = |transfers| {
        height += 1;
        change(height, transfers)
    };
    for transfers in [1, 100, 2_000] {
        group.throughput(Throughput::Elements(transfers));
        group.bench_function(BenchmarkId::new("redb", transfers), |b| {
            b.iter_batched(|| next(transfers), |one| redb.commit(&one), BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("sqlite", transfers), |b| {
            b.iter_batched(|| next(transfers), |one| lite.commit(&one), BatchSize::PerIteration);
        });
    }
    group.finish();
    for (name, path) in [("redb", one.path()), ("sqlite", two.path())] {
        let files = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().metadata().unwrap());
        println!("{name}: {} bytes on disk", files.map(|file| file.len()).sum::<u64>());
    }
}

criterion_group!(benches, commits);
criterion_main!(benches);
