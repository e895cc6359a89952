//! This machine: database, disk, ports, open files.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use grid_relayer::{Store, store::StoreLocation};
use rustix::{
    fs::{Access, access, statvfs},
    process::{Resource, getrlimit},
};

use super::{Finding, Site};
use crate::{args::Daemon, database, main_chain::GridRpc};

/// Less free disk than this stops the daemon soon.
const LEAST_DISK: u64 = 512 << 20;
/// Less than this needs a look.
const FEW_DISK: u64 = 4 << 30;
/// Fewer open files than this are not enough for endpoints, peers and databases.
const LEAST_FILES: u64 = 256;
/// Fewer than this may not be enough for a node with many clients.
const FEW_FILES: u64 = 4_096;

/// The relayer's database opens, as the daemon opens it.
pub(super) async fn database(site: &Site<'_>) -> Vec<Finding> {
    let path = "relayer.store";
    let place = match database::location(site.home, &site.config.relayer) {
        Ok(place) => place,
        Err(error) => {
            let fix = "name a file that this user can read";
            let found = format!("{error:#}");
            return vec![Finding::problem("database", path, "a database", found, fix)];
        }
    };
    if let StoreLocation::Sqlite(file) = &place
        && !file.exists()
    {
        return vec![new_file("database", path, file)];
    }
    if site.running.is_some() {
        // Opening it may change its schema: not under a program that uses it.
        let found = format!("{place} is in use by the running daemon");
        return vec![Finding::good("database", path, found)];
    }
    let store = match Box::pin(Store::open(&place)).await {
        Ok(store) => store,
        Err(error) => {
            let fix = "do what its message says; a damaged file can be moved away";
            let found = error.to_string();
            return vec![Finding::problem("database", path, "a database that opens", found, fix)];
        }
    };
    let mib = store.bytes() >> 20;
    let counted = store.counts().await;
    store.close().await;
    vec![match counted {
        Err(error) => {
            let fix = "use another database: the relayer rebuilds its work from the chains";
            Finding::problem("database", path, "rows that can be read", error.to_string(), fix)
        }
        Ok(counts) => {
            let items: u64 = counts.iter().map(|count| count.count).sum();
            let found = match place {
                StoreLocation::Sqlite(_) => {
                    format!("{place} opens: {items} unfinished items, {mib} MiB")
                }
                StoreLocation::Postgres(_) => format!("{place} opens: {items} unfinished items"),
            };
            Finding::good("database", path, found)
        }
    }]
}

/// A file that the daemon is going to make.
fn new_file(check: &'static str, path: &str, file: &Path) -> Finding {
    let folder = existing(file);
    match access(&folder, Access::WRITE_OK) {
        Ok(()) => Finding::good(check, path, format!("{} will be made", file.display())),
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            let fix = "let the daemon's user write there";
            Finding::problem(check, path, "a folder that can be written to", found, fix)
        }
    }
}

/// The lowest folder above a file that exists.
fn existing(file: &Path) -> PathBuf {
    let found = file.ancestors().skip(1).find(|folder| folder.exists());
    match found {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Free space where the daemon writes.
pub(super) fn disk(site: &Site<'_>) -> Vec<Finding> {
    let mut places = Vec::new();
    if let Ok(StoreLocation::Sqlite(file)) = database::location(site.home, &site.config.relayer) {
        places.push(("relayer.store", file));
    }
    if site.daemon == Daemon::Start {
        places.push(("node.data", site.home.resolve(&site.config.node.data).join("chain.redb")));
    }
    places.iter().map(|(path, file)| space(path, &existing(file))).collect()
}

fn space(path: &str, folder: &Path) -> Finding {
    let free = match statvfs(folder) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            return Finding::problem("disk", path, "a folder", found, "make the folder");
        }
    };
    let found = format!("{} MiB free at {}", free >> 20, folder.display());
    let lacking = |least: u64| {
        let fix = "make room, or put the file elsewhere";
        Finding::problem("disk", path, format!("at least {} MiB free", least >> 20), &found, fix)
    };
    match free {
        0..LEAST_DISK => lacking(LEAST_DISK),
        LEAST_DISK..FEW_DISK => lacking(FEW_DISK).only_a_warning(),
        _ => Finding::good("disk", path, found),
    }
}

/// The addresses are free, or in use by the daemon itself.
pub(super) async fn ports(site: &Site<'_>) -> Vec<Finding> {
    let relayer = site.running.is_some();
    let mut found = Vec::new();
    for (path, address) in site.config.relayer.addresses() {
        found.push(port(path, address, relayer));
    }
    if site.daemon == Daemon::Start {
        let address = site.config.node.rpc;
        let own = match GridRpc::new(&format!("http://{address}")) {
            Ok(rpc) => rpc.tip().await.is_ok(),
            Err(_) => false,
        };
        found.push(port("node.rpc", address, own));
    }
    found
}

fn port(path: &str, address: SocketAddr, running: bool) -> Finding {
    let error = match TcpListener::bind(address) {
        Ok(_) => return Finding::good("port", path, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && running => {
            return Finding::good(
                "port",
                path,
                format!("{address} is in use by the running daemon"),
            );
        }
        Err(error) => error,
    };
    let fix = match error.kind() {
        ErrorKind::AddrInUse => "stop the program that uses the port, or choose another one",
        ErrorKind::PermissionDenied => "choose a port above 1023",
        _ => "name an address of this machine",
    };
    let found = format!("{address}: {error}");
    Finding::problem("port", path, "an address that is free", found, fix)
}

/// The process may open enough files.
pub(super) fn open_files() -> Vec<Finding> {
    let limit = getrlimit(Resource::Nofile).current;
    let found = limit.map_or_else(|| "no limit".into(), |limit| format!("at most {limit}"));
    let lacking = |least: u64| {
        let fix = "raise it: `ulimit -n 65536`, or LimitNOFILE=65536 in the systemd unit";
        Finding::problem("open files", "ulimit -n", format!("at least {least}"), &found, fix)
    };
    vec![match limit.unwrap_or(u64::MAX) {
        0..LEAST_FILES => lacking(LEAST_FILES),
        LEAST_FILES..FEW_FILES => lacking(FEW_FILES).only_a_warning(),
        _ => Finding::good("open files", "ulimit -n", found),
    }]
}
