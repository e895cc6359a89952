//! Schema versions and the checks on opening a database.

use std::path::Path;

use sqlx::{
    Row, SqlSafeStr, SqlitePool,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use super::{OpenFault, StoreError, error::code};

/// Which database the tables are for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

macro_rules! migrations {
    ($($version:literal $name:literal $file:literal;)+) => {
        /// Every migration in order, part of the binary: number, name, text for `SQLite`, text for
        /// PostgreSQL. Never edit one that was released: add another.
        const MIGRATIONS: &[(i64, &str, &str, &str)] = &[$((
            $version,
            $name,
            include_str!(concat!("../../../migrations/sqlite/", $file)),
            include_str!(concat!("../../../migrations/postgres/", $file)),
        )),+];
    };
}

migrations! {
    1 "first" "0001_first.sql";
    2 "attestations" "0002_attestations.sql";
    3 "positions" "0003_positions.sql";
    4 "sharing" "0004_sharing.sql";
    5 "operators" "0005_operators.sql";
    6 "disagreements" "0006_disagreements.sql";
    7 "messages" "0007_messages.sql";
}

/// The newest version.
pub(super) fn known() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, ..)| *version)
}

/// The primary codes of `SQLite` for a damaged file and for a file that is no database.
const CORRUPT: [&str; 2] = ["11", "26"];

/// Brings the schema up to date. Each migration is one transaction: a crash leaves it applied or not. Of
/// several relayers that start on one server one does it, the others wait.
pub(super) async fn migrate<C: Migrate>(
    connection: &mut C,
    backend: Backend,
) -> Result<(), MigrateError> {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sqlite, postgres)| {
            let text = match backend {
                Backend::Sqlite => *sqlite,
                Backend::Postgres => *postgres,
            };
            let kind = MigrationType::Simple;
            Migration::new(*version, (*name).into(), kind, text.into_sql_str(), false)
        })
        .collect();
    // `run` is the same for whatever gives a connection, but then the future cannot be spawned.
    Migrator::with_migrations(migrations).run_direct(None, connection, false).await
}

/// Says what a failed migration means.
pub(super) fn migrate_error(
    place: &str,
    error: MigrateError,
    open: fn(&str, &sqlx::Error) -> StoreError,
) -> StoreError {
    let place = place.to_owned();
    match error {
        MigrateError::VersionMissing(found) => StoreError::Newer { place, found, known: known() },
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => {
            StoreError::Incompatible { place, version }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            open(&place, &error)
        }
        other => StoreError::Open { place, cause: OpenFault::Other, reason: other.to_string() },
    }
}

/// Reads the whole file's structure when it is at most `limit` bytes long, its head otherwise.
pub(super) async fn check(pool: &SqlitePool, path: &Path, limit: u64) -> Result<(), StoreError> {
    let place = path.display().to_string();
    let fault = |error: sqlx::Error| file_error(&place, &error);
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let query = if length <= limit { "PRAGMA quick_check(1)" } else { "PRAGMA schema_version" };
    let row = sqlx::query(query).fetch_one(pool).await.map_err(fault)?;
    if length > limit {
        return Ok(());
    }
    let finding: String = row.try_get(0).map_err(fault)?;
    if finding == "ok" { Ok(()) } else { Err(StoreError::Damaged { place, reason: finding }) }
}

/// Tells a damaged file from one that cannot be opened.
pub(super) fn file_error(place: &str, error: &sqlx::Error) -> StoreError {
    let (place, reason) = (place.to_owned(), error.to_string());
    // An extended code keeps the primary one in its lowest byte.
    let primary =
        code(error).and_then(|code| code.parse::<i64>().ok()).map(|code| (code & 0xff).to_string());
    if primary.is_some_and(|code| CORRUPT.contains(&code.as_str())) {
        StoreError::Damaged { place, reason }
    } else {
        StoreError::Open { place, cause: OpenFault::File, reason }
    }
}

/// Says what keeps a server's database from being opened.
pub(super) fn server_error(place: &str, error: &sqlx::Error) -> StoreError {
    let reason = match error {
        // The text speaks of a pool, which nobody has heard of.
        sqlx::Error::PoolTimedOut => String::from("the server does not answer"),
        other => other.to_string(),
    };
    StoreError::Open { place: place.to_owned(), cause: OpenFault::of(error), reason }
}
