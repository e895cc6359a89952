//! `grid submit`: hands a proof to the main chain's proof contract.

use alloy_primitives::U256;
use alloy_sol_types::SolCall as _;
use eyre::{Result, bail};
use grid_core::modules::abi::{PROOFS, Proofs};
use serde::Serialize;
use serde_json::Value;

use super::send::{self, Call, Sent};
use crate::{
    args::SubmitArgs, home::Home, main_chain::GridRpc, output::Output, proof_file::ProofFile,
};

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
    rpc.tip().await?;
    let signer = send::signer(home, &args.key)?;
    let input = Proofs::submitCall { proof: proof.to_abi() }.abi_encode().into();
    let call = Call { to: PROOFS, value: U256::ZERO, input };
    let included = match send::send(&rpc, &signer, call, args.sending.dry_run).await? {
        Sent::Included(included) => included,
        Sent::Draft(draft) => return out.show(&draft, send::Draft::people),
    };
    let hash = included.transaction;
    if !included.succeeded {
        bail!("the main chain refused the proof: transaction {hash} reverted");
    }
    let answer =
        Submitted { transaction: hash.to_string(), status: "accepted", block: included.block };
    out.show(&answer, |answer| {
        format!(
            "accepted by the main chain\n  transaction  {}\n  block        {}",
            answer.transaction,
            answer.block.as_ref().and_then(Value::as_str).unwrap_or("?")
        )
    })
}
