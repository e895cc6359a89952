//! `grid verify`: offline; a proof file and a trust anchor are all it reads.

use std::{fs, path::Path, process::ExitCode};

use eyre::{Result, WrapErr as _, bail};
use grid_core::proof::{self, CrossChainProof, Trust, TrustAnchor};

use super::proven::describe;
use crate::{
    abi::{self, Abi, DecodedEvent},
    args::VerifyArgs,
    home::Home,
    output::Output,
    trust::TrustFile,
};
use serde::Serialize;

/// A proof file larger than this is not read.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// Reads a proof file in either form.
pub(super) fn read_proof(file: &Path) -> Result<CrossChainProof> {
    let size = fs::metadata(file)
        .wrap_err_with(|| format!("cannot read the proof {}", file.display()))?
        .len();
    if size > MAX_FILE {
        bail!("{} has {size} bytes; a proof has at most {MAX_FILE}", file.display());
    }
    let bytes =
        fs::read(file).wrap_err_with(|| format!("cannot read the proof {}", file.display()))?;
    // JSON begins with a brace, the binary form never does: it begins with an ABI offset.
    let proof = if bytes.first() == Some(&b'{') {
        CrossChainProof::from_json(&bytes).map_err(eyre::Report::from)
    } else {
        CrossChainProof::from_abi(&bytes).map_err(eyre::Report::from)
    };
    proof.wrap_err_with(|| format!("{} is not a proof", file.display()))
}

/// What is proven, and the events of its logs where an ABI is given: one for each log, null for a log that is none.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    proven: &'a proof::Proven,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Option<DecodedEvent>>,
}

pub(super) fn run(home: &Home, args: &VerifyArgs, out: Output) -> Result<ExitCode> {
    let trust = trust(home, args)?;
    let abi = args.abi.as_deref().map(Abi::read).transpose()?;
    let proof = match read_proof(&args.file) {
        Ok(proof) => proof,
        Err(error) => return refuse(args, out, &format!("{error:#}")),
    };
    match proof::verify(&proof, &trust) {
        Ok(verified) => {
            let proven = verified.into_inner();
            let logs = abi.iter().flat_map(|_| abi::logs(&proven.claim));
            let events = logs.map(|log| abi.as_ref()?.decode(log)?.ok()).collect();
            let shown = Shown { proven: &proven, events };
            out.show(&shown, |_| people(&proven, &trust, abi.as_ref()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => refuse(args, out, &error.to_string()),
    }
}

fn trust(home: &Home, args: &VerifyArgs) -> Result<Trust> {
    let file = args.trust.clone().unwrap_or_else(|| home.trust_file());
    let Some(hash) = args.block_hash else { return TrustFile::read(&file)?.trust() };
    // The hash replaces the validators, but the signatures in the file are checked all the same, and they
    // are made for one Grid chain.
    let chain_id = match args.chain_id {
        Some(chain_id) => chain_id,
        None => TrustFile::read(&file).wrap_err("give --chain-id with --block-hash")?.chain_id,
    };
    Ok(Trust { chain_id, anchor: TrustAnchor::BlockHash(hash) })
}

fn refuse(args: &VerifyArgs, out: Output, reason: &str) -> Result<ExitCode> {
    let file = args.file.display().to_string();
    let answer = serde_json::json!({ "verified": false, "file": file, "reason": reason });
    out.show(&answer, |_| format!("REFUSED  {file}\n  {reason}"))?;
    Ok(ExitCode::FAILURE)
}

fn people(proven: &proof::Proven, trust: &Trust, abi: Option<&Abi>) -> String {
    let whom = match &trust.anchor {
        TrustAnchor::Validators(set) => {
            format!("{} validator(s) of Grid chain {}", set.as_slice().len(), trust.chain_id)
        }
        TrustAnchor::BlockHash(hash) => format!("the Grid block hash {hash}"),
        _ => "the given anchor".to_owned(),
    };
    format!("VERIFIED\n{}  trusting      {whom}", describe(proven, abi))
}
