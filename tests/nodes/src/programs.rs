//! Finds the programs that `scripts/setup-nodes` has set up.
//!
//! In this order: an environment variable (`GRID_BITCOIND`, `GRID_ANVIL`, …), the paths file that
//! the script writes (`~/.cache/grid/nodes/paths`, or under `GRID_CACHE`), the search path.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::NodeError;

/// Bitcoin Core's daemon.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn bitcoind() -> Result<PathBuf, NodeError> {
    find("bitcoind", "GRID_BITCOIND")
}

/// Bitcoin Core's command line.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn bitcoin_cli() -> Result<PathBuf, NodeError> {
    find("bitcoin-cli", "GRID_BITCOIN_CLI")
}

/// Bitcoin Core's header rules as a program (`tests/core-oracle`).
///
/// # Errors
/// [`NodeError::ProgramMissing`]; `scripts/setup-nodes --with-oracle` builds it.
pub fn core_oracle() -> Result<PathBuf, NodeError> {
    find("core-oracle", "GRID_CORE_ORACLE")
}

/// Foundry's Ethereum development node.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn anvil() -> Result<PathBuf, NodeError> {
    find("anvil", "GRID_ANVIL")
}

/// Foundry's Ethereum command line.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn cast() -> Result<PathBuf, NodeError> {
    find("cast", "GRID_CAST")
}

/// Foundry's builder and tester of contracts.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn forge() -> Result<PathBuf, NodeError> {
    find("forge", "GRID_FORGE")
}

/// The Solidity compiler, as a program that speaks standard JSON.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn solc() -> Result<PathBuf, NodeError> {
    find("solc", "GRID_SOLC")
}

/// Node.js, for [`web3`].
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn node() -> Result<PathBuf, NodeError> {
    find("node", "GRID_NODE_JS")
}

/// The `package.json` beside the installed JavaScript libraries.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn web3() -> Result<PathBuf, NodeError> {
    find("package.json", "GRID_WEB3")
}

/// Prometheus, from Debian's package.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn prometheus() -> Result<PathBuf, NodeError> {
    find("prometheus", "GRID_PROMETHEUS")
}

/// PostgreSQL's server, from Debian's package, which keeps its programs off the search path. What is found
/// is the real file: its other programs are beside it.
///
/// # Errors
/// [`NodeError::ProgramMissing`]; `scripts/setup-nodes --with-postgres` installs it.
pub fn postgres() -> Result<PathBuf, NodeError> {
    /// Where the package puts each version.
    const VERSIONS: &str = "/usr/lib/postgresql";
    let version = |path: &PathBuf| -> u32 {
        path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
    };
    let packaged = || {
        let folders = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let newest = folders.map(|entry| entry.path()).max_by_key(version)?;
        Some(newest.join("bin/postgres")).filter(|program| program.is_file())
    };
    let found = find("postgres", "GRID_POSTGRES").or_else(|error| packaged().ok_or(error))?;
    found.canonicalize().map_err(NodeError::io(format!("finding {}", found.display())))
}

/// The `grid` binary: `GRID_BIN`, or the one that cargo built beside this test or program.
///
/// # Errors
/// [`NodeError::ProgramMissing`].
pub fn grid() -> Result<PathBuf, NodeError> {
    if let Some(path) = env::var_os("GRID_BIN").map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(missing("grid", &format!("GRID_BIN={} is no file", path.display())))
        };
    }
    let own = env::current_exe().map_err(NodeError::io("finding the running program"))?;
    // A test runs from target/debug/deps, a program from target/debug.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("grid"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            missing("grid", "looked at GRID_BIN and beside this program; cargo build -p grid")
        })
}

fn missing(program: &'static str, looked: &str) -> NodeError {
    NodeError::ProgramMissing { program, looked: looked.to_owned() }
}

fn find(program: &'static str, variable: &str) -> Result<PathBuf, NodeError> {
    if let Some(path) = env::var_os(variable).map(PathBuf::from) {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(missing(program, &format!("{variable}={} is no file", path.display())))
        };
    }
    let file = cache().join("nodes").join("paths");
    let listed = std::fs::read_to_string(&file).unwrap_or_default();
    let from_file = listed
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| *name == variable)
        .map(|(_, path)| PathBuf::from(path));
    let on_path = || {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|folder| folder.join(program)).find(|p| p.is_file())
    };
    from_file.filter(|path| path.is_file()).or_else(on_path).ok_or_else(|| {
        let file = file.display();
        missing(program, &format!("looked at {variable}, {file} and PATH; run scripts/setup-nodes"))
    })
}

/// Where downloads and built nodes are kept: `GRID_CACHE`, or `~/.cache/grid`.
pub fn cache() -> PathBuf {
    env::var_os("GRID_CACHE").map_or_else(
        || Path::new(&env::var_os("HOME").unwrap_or_default()).join(".cache/grid"),
        PathBuf::from,
    )
}
