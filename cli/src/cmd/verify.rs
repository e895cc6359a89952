//! `grid verify`: offline; a proof file and a trust anchor are all it reads.

use std::process::ExitCode;

use alloy_primitives::B256;
use eyre::{Result, WrapErr as _};
use grid_core::{
    grid::light::HandOver,
    proof::{self, Trust, TrustAnchor},
};

use super::proven::describe;
use crate::{
    abi::{self, Abi, DecodedEvent},
    args::VerifyArgs,
    home::Home,
    output::Output,
    proof_file::{ProofFile, read_json},
    trust::{TrustFile, now_ms},
};
use serde::Serialize;

/// What is proven, and the events of its logs where an ABI is given: one for each log, null for a log that is none.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    proven: &'a proof::Proven,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Option<DecodedEvent>>,
}

/// What the verification rests on.
enum Trusted {
    /// A header of the Grid chain, and the headers of a file that lead on from it.
    Header { file: Box<TrustFile>, hand_over: Option<HandOver>, now_ms: u64 },
    /// The hash of a Grid block. The hash replaces the validators, but the signatures in the file are checked all the
    /// same, and they are made for one Grid chain.
    Hash { chain_id: u64, hash: B256 },
}

pub(super) fn run(home: &Home, args: &VerifyArgs, out: Output) -> Result<ExitCode> {
    let trusted = trusted(home, args)?;
    let abi = args.abi.as_deref().map(Abi::read).transpose()?;
    let file = match ProofFile::read(&args.file) {
        Ok(file) => file,
        Err(error) => return refuse(args, out, &format!("{error:#}")),
    };
    match check(&file, &trusted) {
        Ok(proven) => {
            let logs = abi.iter().flat_map(|_| abi::logs(&proven.claim));
            let events = logs.map(|log| abi.as_ref()?.decode(log)?.ok()).collect();
            let shown = Shown { proven: &proven, events };
            out.show(&shown, |_| people(&proven, &trusted, abi.as_ref()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => refuse(args, out, &error.to_string()),
    }
}

fn check(file: &ProofFile, trusted: &Trusted) -> Result<proof::Proven> {
    let verified = match trusted {
        Trusted::Hash { chain_id, hash } => {
            let anchor = TrustAnchor::BlockHash(*hash);
            proof::verify(&file.proof, &Trust { chain_id: *chain_id, anchor })?
        }
        Trusted::Header { file: trust, hand_over, now_ms } => {
            let way = hand_over.as_ref().or(file.hand_over.as_ref());
            proof::verify_from(&file.proof, &trust.state(), way, &trust.policy(), *now_ms)?
        }
    };
    Ok(verified.into_inner())
}

fn trusted(home: &Home, args: &VerifyArgs) -> Result<Trusted> {
    let file = args.trust.clone().unwrap_or_else(|| home.trust_file());
    let Some(hash) = args.block_hash else {
        let read = |file| read_json(file, "a hand-over (chainId, blocks)");
        return Ok(Trusted::Header {
            file: Box::new(TrustFile::read(&file)?),
            hand_over: args.hand_over.as_deref().map(read).transpose()?,
            now_ms: now_ms(args.now)?,
        });
    };
    let chain_id = match args.chain_id {
        Some(chain_id) => chain_id,
        None => {
            let read = TrustFile::read(&file).wrap_err("give --chain-id with --block-hash")?;
            read.state().chain_id
        }
    };
    Ok(Trusted::Hash { chain_id, hash })
}

fn refuse(args: &VerifyArgs, out: Output, reason: &str) -> Result<ExitCode> {
    let file = args.file.display().to_string();
    let answer = serde_json::json!({ "verified": false, "file": file, "reason": reason });
    out.show(&answer, |_| format!("REFUSED  {file}\n  {reason}"))?;
    Ok(ExitCode::FAILURE)
}

fn people(proven: &proof::Proven, trusted: &Trusted, abi: Option<&Abi>) -> String {
    let whom = match trusted {
        Trusted::Hash { hash, .. } => format!("the Grid block hash {hash}"),
        Trusted::Header { file, .. } => {
            let state = file.state();
            let count = state.validators.as_slice().len();
            let until = file.until().map_or_else(String::new, |until| format!(", until {until}"));
            let (chain, height) = (state.chain_id, state.height);
            format!("{count} validator(s) of Grid chain {chain} after block {height}{until}")
        }
    };
    format!("VERIFIED\n{}  trusting      {whom}", describe(proven, abi))
}
