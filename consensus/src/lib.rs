//! consensus.
