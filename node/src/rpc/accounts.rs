//! Accounts and code.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U256};
use grid_core::{modules::abi::SYSTEM_CONTRACTS, state::Account};

use super::{Methods, args::quantity, context::newest};

/// What stands for the code of a system contract, which is part of the protocol: the opcode `INVALID`, so
/// that tools see that something is there and no EVM would run it.
const SYSTEM_CODE: &[u8] = &[0xfe];

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_getBalance", 2, |context, args| {
        let address = args.required::<Address>("address")?;
        let view = context.view()?;
        newest(&view, args.optional("block")?)?;
        Ok(Account::read(&view, &address)?.balance)
    });
    methods.add("eth_getTransactionCount", 2, |context, args| {
        let address = args.required::<Address>("address")?;
        let view = context.view()?;
        let block = args.optional::<BlockId>("block")?;
        newest(&view, block)?;
        let nonce = Account::read(&view, &address)?.nonce;
        let pending = block == Some(BlockId::Number(BlockNumberOrTag::Pending));
        Ok(quantity(if pending {
            context.chain.mempool().pending_nonce(&address, nonce)
        } else {
            nonce
        }))
    });
    methods.add("eth_getCode", 2, |context, args| {
        let address = args.required::<Address>("address")?;
        newest(&context.view()?, args.optional("block")?)?;
        let system = SYSTEM_CONTRACTS.contains(&address);
        Ok(if system { Bytes::from_static(SYSTEM_CODE) } else { Bytes::new() })
    });
    methods.add("eth_getStorageAt", 3, |context, args| {
        let _: Address = args.required("address")?;
        let _: U256 = args.required("slot")?;
        newest(&context.view()?, args.optional("block")?)?;
        // There are no storage slots: values are proven through the state tree.
        Ok(B256::ZERO)
    });
}
