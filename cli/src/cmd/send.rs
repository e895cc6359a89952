//! Sending a call of a key in `keys/` to the main chain, and waiting for its block.

use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, utils::format_ether};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr as _, bail, ensure};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    home::Home,
    keys,
    main_chain::{GridRpc, key_file},
    output::Output,
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

impl Included {
    /// Refuses a call without effect.
    pub(super) fn took_effect(self) -> Result<Self> {
        let transaction = self.transaction;
        ensure!(
            self.succeeded,
            "transaction {transaction} reverted: something has changed meanwhile; try again"
        );
        Ok(self)
    }
}

/// A transaction that would be sent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Draft {
    from: Address,
    to: Address,
    /// GRID sent along, smallest unit.
    value: U256,
    nonce: u64,
    gas_limit: u64,
    /// The most that the gas costs, smallest unit.
    most_fee: U256,
    input: Bytes,
}

impl Draft {
    /// For people.
    pub(super) fn people(&self) -> String {
        format!(
            "dry run: nothing was sent\n  from         {}\n  to           {}\n  value        {} GRID\n  \
             nonce        {}\n  gas          {}\n  costs up to  {} GRID\n  call data    {} bytes",
            self.from,
            self.to,
            format_ether(self.value),
            self.nonce,
            self.gas_limit,
            format_ether(self.most_fee),
            self.input.len(),
        )
    }
}

/// What came of a call.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is in a block.
    Included(Included),
    /// It was only drafted.
    Draft(Draft),
}

/// Opens a key of the home folder.
pub(super) fn signer(home: &Home, key: &str) -> Result<PrivateKeySigner> {
    let password = keys::password(Some(&home.password_file()))?;
    keys::open(&key_file(home, key), &password)
}

/// Sends a call and waits until it is in a block, or in a dry run says what would be sent. A call that would fail is
/// refused before it costs anything.
pub(super) async fn send(
    rpc: &GridRpc,
    signer: &PrivateKeySigner,
    call: Call,
    dry_run: bool,
) -> Result<Sent> {
    let tx = draft(rpc, signer.address(), call.clone()).await?;
    if dry_run {
        let Call { to, value, input } = call;
        let most_fee = U256::from(tx.max_fee_per_gas).saturating_mul(U256::from(tx.gas_limit));
        let (from, nonce, gas_limit) = (signer.address(), tx.nonce, tx.gas_limit);
        return Ok(Sent::Draft(Draft { from, to, value, nonce, gas_limit, most_fee, input }));
    }
    let signature = signer.sign_hash_sync(&tx.signature_hash())?;
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    let raw = envelope.encoded_2718().into();
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
    Ok(Sent::Included(Included {
        transaction: hash,
        block: receipt.get("blockNumber").cloned(),
        succeeded: receipt.get("status").and_then(Value::as_str) == Some("0x1"),
    }))
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    transaction: String,
    block: Option<Value>,
    message: String,
}

/// Sends a call, waits for its block and says what came of it.
pub(super) async fn perform(
    rpc: &GridRpc,
    signer: &PrivateKeySigner,
    call: Call,
    message: String,
    (dry_run, out): (bool, Output),
) -> Result<()> {
    let included = match send(rpc, signer, call, dry_run).await? {
        Sent::Included(included) => included.took_effect()?,
        Sent::Draft(draft) => return out.show(&draft, Draft::people),
    };
    let transaction = included.transaction.to_string();
    let done = Done { transaction, block: included.block, message };
    out.show(&done, |done| {
        let block = done.block.as_ref().and_then(Value::as_str).unwrap_or("?");
        format!("{}\n  transaction  {}\n  block        {block}", done.message, done.transaction)
    })
}

async fn draft(rpc: &GridRpc, from: Address, call: Call) -> Result<TxEip1559> {
    let Call { to, value, input } = call;
    let chain_id = rpc.tip().await?.chain_id;
    let account = rpc.account(from).await?;
    // The estimate runs the call: what the chain refuses is refused here, with its reason, for free.
    let gas = rpc
        .estimate_gas(from, to, value, &input)
        .await
        .wrap_err("the main chain would refuse this")?;
    let price = rpc.gas_price().await?;
    Ok(TxEip1559 {
        chain_id,
        nonce: account.pending_nonce,
        gas_limit: gas.saturating_add(gas / 5),
        max_fee_per_gas: price.saturating_mul(2).saturating_add(PRIORITY_FEE),
        max_priority_fee_per_gas: PRIORITY_FEE,
        to: TxKind::Call(to),
        value,
        access_list: Default::default(),
        input,
    })
}
