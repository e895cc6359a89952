//! Conformance vectors: everything below `GRID_TESTDATA`.

use grid_tests::{data, vectors};

#[test]
fn conformance_vectors() {
    let Some(folder) = data::folder() else { return };
    let report = vectors::run(&folder).expect("the folder is readable");
    println!("\n{}", report.text());
    assert_eq!(report.failed(), 0, "see the report above");
    assert!(report.cases() > 0, "no vector was found");
}
