//! Addresses, heights and values.

use std::fmt;

use alloy_primitives::B256;
use arc_malachitebft_core_types as engine;
use borsh::{BorshDeserialize, BorshSerialize, io};

/// A validator's address; also its "public key" and, in bytes, its name in validator proofs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address(pub(crate) alloy_primitives::Address);

/// A block height. The engine starts at 1; 0 is genesis.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
)]
pub(crate) struct Height(pub(crate) u64);

/// What validators decide: keccak256 of a block header's RLP. It is its own id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockHash(pub(crate) B256);

impl engine::Address for Address {}

impl engine::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl engine::Value for BlockHash {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Display and Debug as hexadecimal, borsh as the plain bytes.
macro_rules! bytes {
    ($type:ident, $length:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl BorshSerialize for $type {
            fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
                writer.write_all(self.0.as_slice())
            }
        }

        impl BorshDeserialize for $type {
            fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
                <[u8; $length]>::deserialize_reader(reader).map(|bytes| Self(bytes.into()))
            }
        }
    };
}

bytes!(Address, 20);
bytes!(BlockHash, 32);
