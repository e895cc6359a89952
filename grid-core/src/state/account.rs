//! Accounts: a nonce and a balance of GRID. There is no code and no storage; the system contracts are
//! part of the protocol.

use alloy_primitives::{Address, U256};

use super::{Overlay, StateRead, StorageError, codec::Fields, keys};

/// An account. An absent account is the default one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Number of transactions sent.
    pub nonce: u64,
    /// Balance in the smallest unit of GRID (10^-18).
    pub balance: U256,
}

impl Account {
    /// Reads an account.
    ///
    /// # Errors
    /// [`StorageError`] where the storage fails.
    pub fn read(state: &dyn StateRead, address: &Address) -> Result<Self, StorageError> {
        Self::decode(state.read(&keys::account(address))?.as_deref())
    }

    /// Reads an account through a block's writes.
    pub(crate) fn load(overlay: &Overlay<'_>, address: &Address) -> Result<Self, StorageError> {
        Self::decode(overlay.get(&keys::account(address))?.as_deref())
    }

    fn decode(stored: Option<&[u8]>) -> Result<Self, StorageError> {
        let Some(bytes) = stored else { return Ok(Self::default()) };
        let mut fields = Fields::new(bytes, "account");
        let account = Self { nonce: fields.u64()?, balance: fields.u256()? };
        fields.end()?;
        Ok(account)
    }

    /// Moves GRID; `false`, and nothing changed, where the sender has too little.
    pub(crate) fn transfer(
        overlay: &mut Overlay<'_>,
        from: &Address,
        to: &Address,
        amount: U256,
    ) -> Result<bool, StorageError> {
        if amount.is_zero() {
            return Ok(true);
        }
        let mut sender = Self::load(overlay, from)?;
        let Some(rest) = sender.balance.checked_sub(amount) else { return Ok(false) };
        sender.balance = rest;
        sender.store(overlay, from);
        let mut receiver = Self::load(overlay, to)?;
        // The supply is below 2^128, so no balance overflows.
        receiver.balance = receiver.balance.saturating_add(amount);
        receiver.store(overlay, to);
        Ok(true)
    }

    /// Writes the account; the default one is removed.
    pub(crate) fn store(&self, overlay: &mut Overlay<'_>, address: &Address) {
        let key = keys::account(address);
        if *self == Self::default() {
            overlay.remove(key);
            return;
        }
        let mut value = Vec::with_capacity(40);
        value.extend_from_slice(&self.nonce.to_be_bytes());
        value.extend_from_slice(&self.balance.to_be_bytes::<32>());
        overlay.set(key, value);
    }
}
