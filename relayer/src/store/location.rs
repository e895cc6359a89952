//! Where the database is.

use core::{fmt, str::FromStr};
use std::path::PathBuf;

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::StoreError;

/// The beginnings of a URL that names a PostgreSQL database.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Connections to one server: enough for the lanes, small beside the hundred that a server allows by
/// default.
const CONNECTIONS: u32 = 8;

/// What the server does on its own for a relayer that has stopped in the middle: it ends statements shortly
/// before the relayer gives them up, and frees the locks of a process that stands still or whose machine is gone.
const SESSION: [(&str, &str); 9] = [
    ("statement_timeout", "9s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_user_timeout", "20s"),
    // Every statement has its index. What the planner knows of tables that fill and empty within seconds is old, and
    // a plan that it made for an empty table reads a full one.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // It would compile statements that it thinks are dear because they do what is switched off.
    ("jit", "off"),
];

/// Where the database is.
#[derive(Debug, Clone)]
pub enum StoreLocation {
    /// A file; made when it is missing.
    Sqlite(PathBuf),
    /// A database on a server; its tables are made when they are missing.
    Postgres(PostgresConfig),
}

impl StoreLocation {
    /// Whether a setting is a PostgreSQL URL; a file's path otherwise.
    #[must_use]
    pub fn is_url(setting: &str) -> bool {
        SCHEMES.iter().any(|scheme| setting.starts_with(scheme))
    }
}

impl From<PathBuf> for StoreLocation {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(config) => f.write_str(&config.url),
        }
    }
}

/// A PostgreSQL database and how to get in.
#[derive(Clone)]
pub struct PostgresConfig {
    /// As configured: without a password, so that it may be shown.
    url: String,
    options: Box<PgConnectOptions>,
    connections: u32,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// A database by its URL, `postgres://user@host:port/database`; `?sslmode=…`, `sslrootcert` and, for a
    /// unix socket, `host=/folder` are understood as by PostgreSQL's own programs. Without a password
    /// the variable `PGPASSWORD` and the file `~/.pgpass` are looked at, as those programs do.
    ///
    /// # Errors
    /// [`StoreError::Location`] when the text is no such URL or holds a password: URLs end up in logs.
    pub fn new(url: &str, password: Option<&str>) -> Result<Self, StoreError> {
        if holds_password(url) {
            let why = "the URL holds a password; put the password into a file of its own and name that \
                       file in `relayer.store_password_file`";
            return Err(StoreError::Location(why.into()));
        }
        let mut options = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Location(format!("{url} is no PostgreSQL URL ({error})")))?
            .application_name("grid-relayer")
            .disable_statement_logging();
        if let Some(password) = password {
            options = options.password(password);
        }
        Ok(Self { url: url.into(), options: Box::new(options), connections: CONNECTIONS })
    }

    /// Most connections that are open at a time.
    #[must_use]
    pub const fn with_connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Whether the connection is unencrypted by configuration and leaves this machine.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        let host = self.options.get_host();
        let local = self.options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || host.parse::<core::net::IpAddr>().is_ok_and(|host| host.is_loopback());
        let plain = matches!(self.options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow);
        plain && !local
    }

    pub(super) const fn connections(&self) -> u32 {
        self.connections
    }

    /// For making tables, which may take its time.
    pub(super) fn unlimited(&self) -> PgConnectOptions {
        (*self.options).clone()
    }

    /// For the relayer's statements.
    pub(super) fn limited(&self) -> PgConnectOptions {
        self.unlimited().options(SESSION)
    }
}

/// Whether a URL names a password, in front of the host or among its parameters.
fn holds_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        for url in [
            "postgres://grid:hunter2@db/grid",
            "postgresql://grid:hunter2@db:5432/grid?sslmode=require",
            "postgres://db/grid?user=grid&password=hunter2",
        ] {
            let error = PostgresConfig::new(url, None).unwrap_err().to_string();
            assert!(error.contains("relayer.store_password_file"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let config = PostgresConfig::new("postgres://grid@db:5433/grid", Some("hunter2")).unwrap();
        let location = StoreLocation::Postgres(config);
        assert_eq!(location.to_string(), "postgres://grid@db:5433/grid");
        assert!(!format!("{location:?}").contains("hunter2"));
    }

    #[test]
    fn settings_are_told_apart_and_garbage_is_named() {
        assert!(StoreLocation::is_url("postgres:///grid?host=/run/postgresql"));
        assert!(StoreLocation::is_url("postgresql://db/grid"));
        assert!(!StoreLocation::is_url("postgres.db") && !StoreLocation::is_url("data/relayer.db"));
        let error =
            PostgresConfig::new("postgres://db:notaport/grid", None).unwrap_err().to_string();
        assert!(error.contains("notaport") && error.contains("relayer.store"), "{error}");
    }

    #[test]
    fn an_open_connection_to_another_machine_is_noticed() {
        let exposed = |url| PostgresConfig::new(url, None).unwrap().is_exposed();
        assert!(exposed("postgres://db.example/grid?sslmode=disable"));
        assert!(!exposed("postgres://db.example/grid?sslmode=verify-full"));
        assert!(!exposed("postgres://127.0.0.1/grid?sslmode=disable"));
        assert!(!exposed("postgres:///grid?host=/run/postgresql&sslmode=disable"));
    }
}
