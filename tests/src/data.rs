//! The folder of test data.

use std::path::PathBuf;

/// Where the data is: `GRID_TESTDATA`, or beside the project. `None`, after saying so, where it is
/// absent and may be.
///
/// # Panics
/// In CI, which always has it.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var_os("GRID_TESTDATA").map_or_else(|| beside.into(), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let absent = format!("GRID_TESTDATA is not a folder: {}", folder.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{absent}; CI always has it");
    println!("SKIPPED: {absent}");
    None
}
