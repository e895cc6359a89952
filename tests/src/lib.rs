//! What the tests over the whole system share: conformance vectors and, in `tests/`, the end-to-end
//! and simulation tests themselves.

pub mod vectors;
