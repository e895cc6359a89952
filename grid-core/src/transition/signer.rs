//! Who signed a transaction.

use alloy_consensus::TxEnvelope;
use alloy_primitives::Address;

use crate::grid::RecoverableSignature;

/// The account that signed `tx`; `None` where its signature belongs to none, or has `s` in the upper half (EIP-2).
///
/// The same answer as alloy's `recover_signer`, by the library that also checks certificates: recovery is nearly all that a
/// plain transfer costs.
#[must_use]
pub fn signer(tx: &TxEnvelope) -> Option<Address> {
    let digest = match tx {
        TxEnvelope::Legacy(tx) => tx.signature_hash(),
        TxEnvelope::Eip2930(tx) => tx.signature_hash(),
        TxEnvelope::Eip1559(tx) => tx.signature_hash(),
        TxEnvelope::Eip4844(tx) => tx.signature_hash(),
        TxEnvelope::Eip7702(tx) => tx.signature_hash(),
    };
    RecoverableSignature::from_bytes(tx.signature().as_bytes()).recover(&digest)
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{
        SignableTransaction as _, TxEip1559, TxEip2930, TxLegacy,
        transaction::SignerRecoverable as _,
    };
    use alloy_primitives::{Signature, U256};
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;

    use super::*;

    /// Half of the order of the curve.
    const HALF: U256 = alloy_consensus::crypto::SECP256K1N_HALF;

    fn envelopes(
        nonce: u64,
        chain_id: Option<u64>,
        sign: impl Fn(&[u8]) -> Signature,
    ) -> Vec<TxEnvelope> {
        let legacy = TxLegacy { nonce, chain_id, ..TxLegacy::default() };
        let list = TxEip2930 { nonce, chain_id: chain_id.unwrap_or(1), ..TxEip2930::default() };
        let fees = TxEip1559 { nonce, chain_id: chain_id.unwrap_or(1), ..TxEip1559::default() };
        let (one, two, three) = (
            sign(legacy.signature_hash().as_slice()),
            sign(list.signature_hash().as_slice()),
            sign(fees.signature_hash().as_slice()),
        );
        vec![
            legacy.into_signed(one).into(),
            list.into_signed(two).into(),
            fees.into_signed(three).into(),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_alloy_for_good_and_bad_signatures(
            seed in 1..255u8, nonce: u64, chain_id: Option<u32>, r: [u8; 32], s: [u8; 32], odd: bool,
        ) {
            let key = SigningKey::from_slice(&[seed; 32]).unwrap();
            let chain_id = chain_id.map(u64::from);
            let good = |digest: &[u8]| Signature::from(key.sign_prehash_recoverable(digest).unwrap());
            for tx in envelopes(nonce, chain_id, good) {
                prop_assert_eq!(signer(&tx), Some(Address::from_private_key(&key)));
                prop_assert_eq!(signer(&tx), tx.recover_signer().ok());
            }
            let high = |digest: &[u8]| {
                let low = good(digest);
                Signature::new(low.r(), HALF + HALF + U256::ONE - low.s(), !low.v())
            };
            for tx in envelopes(nonce, chain_id, high) {
                prop_assert_eq!(signer(&tx), None);
                prop_assert!(tx.recover_signer().is_err());
            }
            let (r, s) = (U256::from_be_bytes(r), U256::from_be_bytes(s));
            for (r, s) in [(r, s), (r, s >> 1), (U256::ZERO, s >> 1), (r, U256::ZERO), (U256::MAX, s >> 1)] {
                for tx in envelopes(nonce, chain_id, |_| Signature::new(r, s, odd)) {
                    prop_assert_eq!(signer(&tx), tx.recover_signer().ok());
                }
            }
        }
    }
}
