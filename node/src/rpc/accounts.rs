//! Accounts and code.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U256};
use grid_core::{modules::abi::SYSTEM_CONTRACTS, state::Account};

use super::{
    Method, Methods, RpcError, args::quantity, context::newest, error, method::Param, optional,
    required,
};

/// What stands for the code of a system contract, which is part of the protocol: the opcode `INVALID`, so
/// that tools see that something is there and no EVM would run it.
const SYSTEM_CODE: &[u8] = &[0xfe];

const ADDRESS: Param = required("address", "Address");
const BLOCK: Param = optional("block", "BlockId");

pub(super) fn register(methods: &mut Methods) {
    let states = [error::NOT_FOUND, error::REFUSED];
    let balance = "The balance of an account in the newest state, in the smallest unit of GRID.";
    let method = Method::new("eth_getBalance", &[ADDRESS, BLOCK], "Quantity", balance);
    methods.add(method.fails(&states), |context, args| {
        let address = args.required::<Address>()?;
        let view = context.view()?;
        newest(&view, args.optional()?)?;
        Ok(Account::read(&view, &address)?.balance)
    });
    let nonce = "The next nonce of an account; with \"pending\", after its waiting transactions without a gap.";
    let method = Method::new("eth_getTransactionCount", &[ADDRESS, BLOCK], "Quantity", nonce);
    methods.add(method.fails(&states), |context, args| {
        let address = args.required::<Address>()?;
        let view = context.view()?;
        let block = args.optional::<BlockId>()?;
        newest(&view, block)?;
        let nonce = Account::read(&view, &address)?.nonce;
        let pending = block == Some(BlockId::Number(BlockNumberOrTag::Pending));
        Ok(quantity(if pending {
            context.chain.mempool().pending_nonce(&address, nonce)
        } else {
            nonce
        }))
    });
    let code = "0xfe, the opcode INVALID, for a system contract, which is part of the protocol; empty for any other account.";
    let method = Method::new("eth_getCode", &[ADDRESS, BLOCK], "Bytes", code);
    methods.add(method.fails(&states), |context, args| {
        let address = args.required::<Address>()?;
        newest(&context.view()?, args.optional()?)?;
        let system = SYSTEM_CONTRACTS.contains(&address);
        Ok(if system { Bytes::from_static(SYSTEM_CODE) } else { Bytes::new() })
    });
    let storage = "Zero: there are no storage slots. grid_proveState shows any value of the state.";
    let params = &[ADDRESS, required("slot", "Quantity"), BLOCK];
    let method = Method::new("eth_getStorageAt", params, "Hash", storage);
    methods.add(method.fails(&states), |context, args| {
        let _: Address = args.required()?;
        let _: U256 = args.required()?;
        newest(&context.view()?, args.optional()?)?;
        Ok(B256::ZERO)
    });
    let proof = "Refused: the state is a Jellyfish Merkle tree, not Ethereum's trie. grid_proveState proves any value of it.";
    let params = &[ADDRESS, required("slots", "Any"), BLOCK];
    let method = Method::new("eth_getProof", params, "Any", proof);
    methods.add(method.fails(&[error::UNSUPPORTED]), |_, _| -> Result<(), RpcError> {
        Err(RpcError::unsupported(
            "eth_getProof is not supported: the state is no Merkle-Patricia trie; ask grid_proveState(key)",
        ))
    });
}
