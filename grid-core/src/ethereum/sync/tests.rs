//! Tests of the light client; the official vectors run in the tests crate.
