//! Sending a call of a key in `keys/` to the main chain, and waiting for its block.

use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr as _, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    home::Home,
    keys,
    main_chain::{GridRpc, key_file},
};

/// A transaction that is in no block after this time is reported as pending.
const INCLUSION: Duration = Duration::from_secs(60);
/// How often to look.
const POLL: Duration = Duration::from_millis(250);
/// Tip for the proposer, in wei a gas.
const PRIORITY_FEE: u128 = 1_000_000;

/// What is called.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The contract.
    pub(super) to: Address,
    /// GRID sent along, smallest unit.
    pub(super) value: U256,
    /// Call data.
    pub(super) input: Bytes,
}

/// A transaction that is in a block.
#[derive(Debug, Clone)]
pub(super) struct Included {
    /// Its hash.
    pub(super) transaction: B256,
    /// Height of its block, as the node writes it.
    pub(super) block: Option<Value>,
    /// Whether the call had its effect.
    pub(super) succeeded: bool,
}

/// Opens a key of the home folder.
pub(super) fn signer(home: &Home, key: &str) -> Result<PrivateKeySigner> {
    let password = keys::password(Some(&home.password_file()))?;
    keys::open(&key_file(home, key), &password)
}

/// Sends a call and waits until it is in a block. A call that would fail is refused before it costs anything.
pub(super) async fn send(rpc: &GridRpc, signer: &PrivateKeySigner, call: Call) -> Result<Included> {
    let raw = build(rpc, signer, call).await?;
    let hash = rpc.send(&raw).await.wrap_err("the main chain refused the transaction")?;
    let deadline = Instant::now() + INCLUSION;
    let receipt = loop {
        if let Some(receipt) = rpc.receipt(hash).await? {
            break receipt;
        }
        if Instant::now() >= deadline {
            bail!(
                "transaction {hash} is in no block after {} s; look again with `cast receipt`",
                INCLUSION.as_secs()
            );
        }
        sleep(POLL).await;
    };
    Ok(Included {
        transaction: hash,
        block: receipt.get("blockNumber").cloned(),
        succeeded: receipt.get("status").and_then(Value::as_str) == Some("0x1"),
    })
}

async fn build(rpc: &GridRpc, signer: &PrivateKeySigner, call: Call) -> Result<Bytes> {
    let Call { to, value, input } = call;
    let chain_id = rpc.tip().await?.chain_id;
    let account = rpc.account(signer.address()).await?;
    // The estimate runs the call: what the chain refuses is refused here, with its reason, for free.
    let gas = rpc
        .estimate_gas(signer.address(), to, value, &input)
        .await
        .wrap_err("the main chain would refuse this")?;
    let price = rpc.gas_price().await?;
    let tx = TxEip1559 {
        chain_id,
        nonce: account.pending_nonce,
        gas_limit: gas.saturating_add(gas / 5),
        max_fee_per_gas: price.saturating_mul(2).saturating_add(PRIORITY_FEE),
        max_priority_fee_per_gas: PRIORITY_FEE,
        to: TxKind::Call(to),
        value,
        access_list: Default::default(),
        input,
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash())?;
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    Ok(envelope.encoded_2718().into())
}
