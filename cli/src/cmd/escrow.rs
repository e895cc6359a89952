//! `grid escrow`: GRID that a Bitcoin payment releases.

use alloy_primitives::{Address, B256, U256, utils::format_ether};
use alloy_sol_types::{SolCall, SolEvent as _};
use eyre::{OptionExt as _, Result, ensure};
use grid_core::{
    escrow::Status,
    modules::abi::{ESCROW, Escrow},
};
use serde::Serialize;
use serde_json::Value;

use super::send::{self, Call, Draft, Sent};
use crate::{
    args::{EscrowCommand, EscrowOpenArgs, EscrowRefundArgs},
    home::Home,
    main_chain::GridRpc,
    output::Output,
    trust::rfc3339,
};

pub(super) async fn run(home: &Home, command: &EscrowCommand, out: Output) -> Result<()> {
    let rpc = GridRpc::of(home)?;
    match command {
        EscrowCommand::Open(args) => open(home, &rpc, args, out).await,
        EscrowCommand::Show(args) => show(&rpc, args.id, out).await,
        EscrowCommand::Refund(args) => refund(home, &rpc, args, out).await,
    }
}

/// An escrow that was opened.
#[derive(Debug, Serialize)]
struct Opened {
    id: B256,
    transaction: B256,
}

async fn open(home: &Home, rpc: &GridRpc, args: &EscrowOpenArgs, out: Output) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let call = Escrow::openCall {
        chain: args.chain.key().0,
        script: args.script.clone(),
        amount: args.amount,
        payee: args.payee,
        deadline: args.deadline,
    };
    let call = Call { to: ESCROW, value: args.value, input: call.abi_encode().into() };
    let included = match send::send(rpc, &signer, call, args.sending.dry_run).await? {
        Sent::Draft(draft) => return out.show(&draft, Draft::people),
        Sent::Included(included) => included.took_effect()?,
    };
    let transaction = included.transaction;
    let receipt = rpc.receipt(transaction).await?.ok_or_eyre("the receipt is gone")?;
    let id = opened(&receipt).ok_or_eyre("the receipt names no escrow")?;
    out.show(&Opened { id, transaction }, |opened| {
        format!(
            "escrow       {}\ntransaction  {}\nnext: pay {} satoshis or more, and in the same Bitcoin transaction \
             the output that\n  grid message send --bitcoin --nonce NUMBER --payload {} {ESCROW}\nprints",
            opened.id, opened.transaction, args.amount, opened.id
        )
    })
}

/// The escrow that a receipt tells of.
fn opened(receipt: &Value) -> Option<B256> {
    let first = Escrow::Opened::SIGNATURE_HASH.to_string();
    let topics = receipt["logs"].as_array()?.iter().map(|log| &log["topics"]);
    let mut ours = topics.filter(|topics| topics[0].as_str() == Some(first.as_str()));
    ours.next()?[1].as_str()?.parse().ok()
}

/// How an escrow stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: B256,
    status: String,
    owner: Address,
    payee: Address,
    /// Smallest unit of GRID.
    value: U256,
    /// Key of the chain.
    chain: B256,
    script_hash: B256,
    /// Satoshis.
    amount: u64,
    deadline: u64,
}

async fn show(rpc: &GridRpc, id: B256, out: Output) -> Result<()> {
    let found = rpc.view(ESCROW, &Escrow::escrowOfCall { id }).await?;
    let status = Status::ALL.into_iter().find(|status| *status as u8 == found.status);
    let status = status.ok_or_eyre("there is no such escrow")?.to_string();
    let Escrow::escrowOfReturn { owner, payee, value, chain, amount, deadline, .. } = found;
    let script_hash = found.scriptHash;
    let shown = Shown { id, status, owner, payee, value, chain, script_hash, amount, deadline };
    out.show(&shown, |shown| {
        format!(
            "escrow    {}\nstatus    {}\nholds     {} GRID of {}\nfor       {}\nwaits     for {} satoshis until {}",
            shown.id,
            shown.status,
            format_ether(shown.value),
            shown.owner,
            shown.payee,
            shown.amount,
            rfc3339(shown.deadline.saturating_mul(1_000)),
        )
    })
}

async fn refund(home: &Home, rpc: &GridRpc, args: &EscrowRefundArgs, out: Output) -> Result<()> {
    let found = rpc.view(ESCROW, &Escrow::escrowOfCall { id: args.id }).await?;
    ensure!(found.status != 0, "there is no escrow {}", args.id);
    let signer = send::signer(home, &args.key)?;
    let input = Escrow::refundCall { id: args.id }.abi_encode().into();
    let call = Call { to: ESCROW, value: U256::ZERO, input };
    let message = format!("{} GRID are {}'s again", format_ether(found.value), found.owner);
    send::perform(rpc, &signer, call, message, (args.sending.dry_run, out)).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_escrow_of_a_receipt_is_that_of_its_own_event() {
        let (id, other) = (B256::repeat_byte(7), B256::repeat_byte(8));
        let ours = Escrow::Opened::SIGNATURE_HASH;
        let receipt = json!({ "logs": [{ "topics": [other, other] }, { "topics": [ours, id] }] });
        assert_eq!(opened(&receipt), Some(id));
        assert_eq!(opened(&json!({ "logs": [{ "topics": [] }] })), None);
        assert_eq!(opened(&json!({})), None);
    }
}
