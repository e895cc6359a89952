//! Ethereum: execution headers, attestations over them, and the proofs under them.
