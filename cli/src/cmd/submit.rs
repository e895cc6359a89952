//! `grid submit`: hands a proof to the main chain's proof contract.

use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall as _;
use eyre::{Result, WrapErr as _, bail};
use grid_core::modules::abi::{PROOFS, Proofs};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    args::SubmitArgs,
    home::Home,
    keys,
    main_chain::{GridRpc, key_file},
    output::Output,
    proof_file::ProofFile,
};

/// A transaction that is in no block after this time is reported as pending.
const INCLUSION: Duration = Duration::from_secs(60);
/// How often to look.
const POLL: Duration = Duration::from_millis(250);
/// Tip for the proposer, in wei.
const PRIORITY_FEE: u128 = 1_000_000;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    transaction: String,
    status: &'static str,
    block: Option<Value>,
}

pub(super) async fn run(home: &Home, args: &SubmitArgs, out: Output) -> Result<()> {
    let proof = ProofFile::read(&args.file)?.proof;
    let rpc = GridRpc::of(home)?;
    let chain_id = rpc.tip().await?.chain_id;
    let password = keys::password(Some(&home.password_file()))?;
    let signer = keys::open(&key_file(home, &args.key), &password)?;
    let input = Bytes::from(Proofs::submitCall { proof: proof.to_abi() }.abi_encode());
    let raw = build(&rpc, &signer, chain_id, input).await?;
    let hash = rpc.send(&raw).await.wrap_err("the main chain refused the submission")?;
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
    let good = receipt.get("status").and_then(Value::as_str) == Some("0x1");
    if !good {
        bail!("the main chain refused the proof: transaction {hash} reverted");
    }
    let answer = Submitted {
        transaction: hash.to_string(),
        status: "accepted",
        block: receipt.get("blockNumber").cloned(),
    };
    out.show(&answer, |answer| {
        format!(
            "accepted by the main chain\n  transaction  {}\n  block        {}",
            answer.transaction,
            answer.block.as_ref().and_then(Value::as_str).unwrap_or("?")
        )
    })
}

async fn build(
    rpc: &GridRpc,
    signer: &PrivateKeySigner,
    chain_id: u64,
    input: Bytes,
) -> Result<Bytes> {
    let account = rpc.account(signer.address()).await?;
    // The estimate runs the call: a proof that the chain refuses is refused here, with its reason, for free.
    let gas = rpc
        .estimate_gas(signer.address(), PROOFS, &input)
        .await
        .wrap_err("the main chain would refuse this proof")?;
    let price = rpc.gas_price().await?;
    let tx = TxEip1559 {
        chain_id,
        nonce: account.pending_nonce,
        gas_limit: gas.saturating_add(gas / 5),
        max_fee_per_gas: price.saturating_mul(2).saturating_add(PRIORITY_FEE),
        max_priority_fee_per_gas: PRIORITY_FEE,
        to: TxKind::Call(PROOFS),
        value: U256::ZERO,
        access_list: Default::default(),
        input,
    };
    let signature = {
        use alloy_signer::SignerSync as _;
        signer.sign_hash_sync(&tx.signature_hash())?
    };
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    let mut raw = Vec::new();
    alloy_eips::eip2718::Encodable2718::encode_2718(&envelope, &mut raw);
    Ok(raw.into())
}
