//! Schema versions and the checks on opening a file.

use std::path::Path;

use sqlx::{
    Row, SqlSafeStr, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::StoreError;

/// Every migration in order, part of the binary. Never edit one that was released: add another.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../../migrations/sqlite/0001_first.sql")),
    (2, "attestations", include_str!("../../../migrations/sqlite/0002_attestations.sql")),
    (3, "positions", include_str!("../../../migrations/sqlite/0003_positions.sql")),
];

/// The primary codes of `SQLite` for a damaged file and for a file that is no database.
const CORRUPT: [&str; 2] = ["11", "26"];

/// Brings the schema up to date. Each migration is one transaction: a crash leaves it applied or not.
pub(super) async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, sql)| {
            let kind = MigrationType::Simple;
            Migration::new(*version, (*name).into(), kind, (*sql).into_sql_str(), false)
        })
        .collect();
    match Migrator::with_migrations(migrations).run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(found)) => {
            let known = MIGRATIONS.last().map_or(0, |(version, ..)| *version);
            Err(StoreError::Newer { path: path.into(), found, known })
        }
        Err(MigrateError::VersionMismatch(version) | MigrateError::Dirty(version)) => {
            Err(StoreError::Incompatible { path: path.into(), version })
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(open_error(path, &error))
        }
        Err(error) => Err(StoreError::Open { path: path.into(), reason: error.to_string() }),
    }
}

/// Reads the whole file's structure when it is at most `limit` bytes long, its head otherwise.
pub(super) async fn check(pool: &SqlitePool, path: &Path, limit: u64) -> Result<(), StoreError> {
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let query = if length <= limit { "PRAGMA quick_check(1)" } else { "PRAGMA schema_version" };
    let row = sqlx::query(query).fetch_one(pool).await.map_err(|error| open_error(path, &error))?;
    if length > limit {
        return Ok(());
    }
    let finding: String = row.try_get(0).map_err(|error| open_error(path, &error))?;
    if finding == "ok" {
        Ok(())
    } else {
        Err(StoreError::Damaged { path: path.into(), reason: finding })
    }
}

/// Tells a damaged file from one that cannot be opened.
pub(super) fn open_error(path: &Path, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code().map(|c| c.to_string()));
    let reason = error.to_string();
    // An extended code keeps the primary one in its lowest byte.
    let primary =
        code.and_then(|code| code.parse::<i64>().ok()).map(|code| (code & 0xff).to_string());
    if primary.is_some_and(|code| CORRUPT.contains(&code.as_str())) {
        StoreError::Damaged { path: path.into(), reason }
    } else {
        StoreError::Open { path: path.into(), reason }
    }
}
