//! Bitcoin: headers, the rules that make one valid, and the proofs under it.
//!
//! Bitcoin Core is the reference. Hashes are in internal byte order everywhere; only a display
//! reverses them.
