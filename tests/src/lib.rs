//! What the tests over the whole system share: conformance vectors, the differential against Bitcoin
//! Core, fuzz targets and, in `tests/`, the end-to-end and simulation tests themselves.

pub mod data;
pub mod differential;
pub mod fuzz;
pub mod vectors;
