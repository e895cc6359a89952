//! The gas schedule. Fixed numbers, never measured time: every node charges the same.
//!
//! One gas is at most ten nanoseconds on one core of a small server; a price is rounded up where the work
//! depends on what is stored. Call data is paid by the transaction's intrinsic gas.

use super::CallError;

/// Any call to a system contract.
pub const CALL: u64 = 2_600;
/// Reading one value of the state.
pub const READ: u64 = 2_100;
/// Writing one value of the state.
pub const WRITE: u64 = 20_000;
/// Loading a light client's window.
pub const CLIENT_LOAD: u64 = 100_000;
/// Checking, storing and later indexing one Bitcoin header.
pub const BITCOIN_HEADER: u64 = 1_500;
/// Decoding, linking, storing and later indexing one Ethereum header.
pub const ETHEREUM_HEADER: u64 = 2_500;
/// Taking one light-client object: decoding and hashing 27 KB, summing 512 keys and one pairing check. Measured at
/// 1.65 ms with the mainnet preset and known points (`benches/sync.rs`).
pub const SYNC_OBJECT: u64 = 200_000;
/// Taking one certified block of a Grid chain: decoding a header and two validator sets and hashing them. Its signatures
/// are charged one by one.
pub const GRID_BLOCK: u64 = 20_000;
/// One key of a sync committee that an object may teach: decompressing the point and checking its group, which
/// its first use costs. Measured at 60 µs a key.
pub const SYNC_KEY: u64 = 6_000;
/// Recovering one secp256k1 signer, as Ethereum's precompile.
pub const SIGNATURE: u64 = 3_000;
/// Reading a proof, whatever its size.
pub const PROOF: u64 = 20_000;
/// One byte of a proof: decoding, re-encoding and hashing it.
pub const PROOF_BYTE: u64 = 16;
/// Judging the risk of a tracked header: at most 1,000 headers of walk and three probabilities, 1 ms at the most.
pub const GUARANTEE_RISK: u64 = 100_000;
/// Reading, judging and writing back one entry of a chain's list of open guarantees.
pub const GUARANTEE_OPEN: u64 = 500;
/// One byte of a chain record.
pub const RECORD_BYTE: u64 = 200;

/// Gas of a running call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gas {
    limit: u64,
    used: u64,
}

impl Gas {
    /// Nothing used yet.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    /// Gas used so far.
    #[must_use]
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Takes gas; where there is too little, all of it is gone.
    pub(crate) fn charge(&mut self, amount: u64) -> Result<(), CallError> {
        match self.used.checked_add(amount).filter(|used| *used <= self.limit) {
            Some(used) => {
                self.used = used;
                Ok(())
            }
            None => {
                self.used = self.limit;
                Err(CallError::OutOfGas)
            }
        }
    }

    /// Takes gas for a number of things.
    pub(crate) fn charge_each(&mut self, count: usize, price: u64) -> Result<(), CallError> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.charge(count.saturating_mul(price))
    }
}
