//! What can go wrong with the database, and what its operator can do about it.

use core::{fmt, time::Duration};

use thiserror::Error;

/// What can go wrong in the store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The setting is no place for a database.
    #[error("`relayer.store` cannot be used: {0}")]
    Location(String),
    /// The database cannot be opened.
    #[error("cannot open the relayer's database {place}: {reason}; {cause}")]
    Open {
        /// File or URL.
        place: String,
        /// What kind of trouble it is.
        cause: OpenFault,
        /// The system's reason.
        reason: String,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the relayer's database {place} is damaged ({reason}); move it away and start again: the relayer \
         rebuilds its work from the chains, only its history is lost"
    )]
    Damaged {
        /// Database file.
        place: String,
        /// The check's finding.
        reason: String,
    },
    /// The database was written by a newer version.
    #[error(
        "the relayer's database {place} has schema version {found}, this program knows {known}; use the newer \
         program or another database"
    )]
    Newer {
        /// File or URL.
        place: String,
        /// Version in the database.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// A migration was changed after it had been applied.
    #[error(
        "the relayer's database {place} was made by an incompatible build (migration {version} differs); start \
         again with an empty one"
    )]
    Incompatible {
        /// File or URL.
        place: String,
        /// The migration.
        version: i64,
    },
    /// A statement failed.
    #[error("the relayer's database failed while {what}: {source}{}", hint(source))]
    Statement {
        /// What was being done.
        what: &'static str,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// A statement took too long.
    #[error("the relayer's database did not answer within {} s while {what}", after.as_secs())]
    Late {
        /// What was being done.
        what: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// A row holds what no version of this program writes.
    #[error("the relayer's database holds {value:?} as {what}; start again with an empty one")]
    Row {
        /// Column.
        what: &'static str,
        /// Value found.
        value: String,
    },
    /// The lease ended before the result came: somebody else may be at work, the result is discarded.
    #[error("the lease on item {0} ended before its result was stored")]
    LeaseLost(String),
    /// Another process took the nonce first.
    #[error("nonce {0} was taken by another process")]
    NonceTaken(u64),
}

/// Why a database cannot be opened. Its text is the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenFault {
    /// The file or its folder.
    File,
    /// Nobody answers at the server's address, or it is starting or stopping.
    Unreachable,
    /// The password is wrong or missing.
    Password,
    /// The server does not let this user in.
    Access,
    /// The server has no such database.
    Database,
    /// The user may not make tables.
    Permission,
    /// The server only reads.
    Standby,
    /// No secure connection.
    Tls,
    /// Something else.
    Other,
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "check that the folder exists and is writable",
            Self::Unreachable => "check that the server runs, and host and port in `relayer.store`",
            Self::Password => {
                "check the user in `relayer.store` and the password in the file that \
                 `relayer.store_password_file` names"
            }
            Self::Access => "let this user in (the server's pg_hba.conf), or name another one",
            Self::Database => "make it (CREATE DATABASE), or name another one in `relayer.store`",
            Self::Permission => {
                "make the user the database's owner, or GRANT CREATE ON SCHEMA public to it"
            }
            Self::Standby => "this server is a standby: name the primary in `relayer.store`",
            Self::Tls => "check `sslmode` in `relayer.store` and the server's certificate",
            Self::Other => "see the server's log",
        })
    }
}

impl OpenFault {
    /// By the driver's error.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => return Self::Unreachable,
            sqlx::Error::Tls(_) => return Self::Tls,
            _ => {}
        }
        match code(error).as_deref() {
            Some("28P01") => Self::Password,
            Some(code) if code.starts_with("28") => Self::Access,
            Some("3D000") => Self::Database,
            Some("42501" | "3F000") => Self::Permission,
            Some("25006") => Self::Standby,
            Some("53300" | "57P01" | "57P02" | "57P03") => Self::Unreachable,
            Some(_) => Self::Other,
            // The server asks for a password and there is none to give.
            None if error.to_string().contains("password") => Self::Password,
            None => Self::Other,
        }
    }
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Statement { .. }
                | Self::Late { .. }
                | Self::LeaseLost(_)
                | Self::NonceTaken(_)
                | Self::Open { cause: OpenFault::Unreachable, .. }
        )
    }

    /// Whether the database itself does not work, as opposed to a refusal by its contents.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Late { .. } => true,
            Self::Statement { source: sqlx::Error::Database(error), .. } => {
                !error.is_unique_violation()
            }
            Self::Statement { source, .. } => {
                !matches!(source, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
            }
            _ => false,
        }
    }

    /// Whether the database can be read all the same: its disk is full, or it takes no changes.
    pub(super) fn is_of_writes_only(&self) -> bool {
        let Self::Statement { source, .. } = self else { return false };
        matches!(code(source).as_deref(), Some("8" | "13" | "25006" | "53100"))
    }

    /// Whether a row of the same key was there first.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Statement { source: sqlx::Error::Database(error), .. }
            if error.is_unique_violation())
    }
}

/// The database's code of an error: an SQLSTATE, or a number of `SQLite`'s.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(|code| code.into_owned())
}

/// What to do about an error that occurs in operation, where there is something.
fn hint(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => {
            "; the relayer goes on when it answers again"
        }
        _ => match code(error).as_deref() {
            Some("13" | "53100") => "; free some disk space, the relayer goes on by itself",
            Some("8" | "14" | "42501") => "; check the permissions of the relayer's user",
            Some("25006") => "; this server is a standby: name the primary in `relayer.store`",
            Some("57P01" | "57P02" | "57P03") => {
                "; the relayer goes on when the server is up again"
            }
            _ => "",
        },
    }
}
