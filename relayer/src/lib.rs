//! relayer.
