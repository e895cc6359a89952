//! Conformance vectors: everything below `GRID_TESTDATA`.

use std::path::PathBuf;

use grid_tests::vectors;

/// Where the data is, or `None` where it is absent and may be.
fn folder() -> Option<PathBuf> {
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

#[test]
fn conformance_vectors() {
    let Some(folder) = folder() else { return };
    let report = vectors::run(&folder).expect("the folder is readable");
    println!("\n{}", report.text());
    assert_eq!(report.failed(), 0, "see the report above");
    assert!(report.cases() > 0, "no vector was found");
}
