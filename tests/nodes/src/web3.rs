//! JavaScript libraries against a node: the scripts of `tests/web3` with the packages of its lock file.

use std::{path::Path, time::Duration};

use crate::{NodeError, grid::run, programs};

/// The scripts.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web3");
/// The ABI of the system contracts, as JSON files.
const ABI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/abi");
/// The longest run of a script; they take seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `tests/web3/NAME.mjs` against the node at `http://ADDRESS`, which has `key`'s account funded, and
/// returns what it wrote.
///
/// # Errors
/// [`NodeError::ProgramMissing`]; [`NodeError::Command`] with the script's words where it fails.
pub async fn script(name: &str, address: &str, key: &str) -> Result<String, NodeError> {
    let packages = programs::web3()?.with_file_name("node_modules");
    let folder = tempfile::tempdir().map_err(NodeError::io("a temporary folder"))?;
    // Modules are looked for beside the script, and nothing is installed into the source tree.
    let file = folder.path().join(format!("{name}.mjs"));
    let source = Path::new(SCRIPTS).join(format!("{name}.mjs"));
    std::fs::copy(&source, &file).map_err(NodeError::io(source.display().to_string()))?;
    std::os::unix::fs::symlink(&packages, folder.path().join("node_modules"))
        .map_err(NodeError::io(packages.display().to_string()))?;
    let env = [
        ("GRID_RPC", format!("http://{address}")),
        ("GRID_WS", format!("ws://{address}")),
        ("GRID_KEY", key.to_owned()),
        ("GRID_ABI", ABI.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let line = [
        LIMIT.as_secs().to_string(),
        programs::node()?.display().to_string(),
        file.display().to_string(),
    ];
    run(Path::new("timeout"), &line, &env).await
}
