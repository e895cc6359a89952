//! `grid trust`: the header that `grid verify` trusts, and its way to newer ones.

use std::{fs, path::PathBuf};

use alloy_primitives::B256;
use eyre::{Result, WrapErr as _, bail};
use grid_core::grid::{
    GridHeader,
    light::{HandOver, TrustedState},
};
use serde::Serialize;

use crate::{
    args::{TrustArgs, TrustCommand},
    home::Home,
    main_chain::GridRpc,
    output::Output,
    proof_file::read_json,
    trust::{TrustFile, now_ms},
};

/// What is printed of a trust file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    file: String,
    chain_id: u64,
    height: u64,
    block_hash: B256,
    validators: usize,
    /// `null` where the validators cannot leave.
    trusted_until: Option<String>,
    /// Whether it is too old to be used.
    expired: bool,
}

pub(super) async fn run(home: &Home, command: &TrustCommand, out: Output) -> Result<()> {
    match command {
        TrustCommand::Show(args) => {
            let file = path(home, args);
            show(&file, &TrustFile::read(&file)?, now_ms(None)?, out)
        }
        TrustCommand::Update { trust, hand_over, now } => {
            let file = path(home, trust);
            let (old, now) = (TrustFile::read(&file)?, now_ms(*now)?);
            let way: HandOver = match hand_over {
                Some(way) => read_json(way, "a hand-over (chainId, blocks)")?,
                None => GridRpc::of(home)?.hand_over(old.state().height, None).await?,
            };
            let state = way
                .follow(&old.state(), &old.policy(), now)
                .wrap_err("the trust file stays as it is")?;
            let new = TrustFile::new(state, old.trusting_period_ms());
            new.write(&file)?;
            show(&file, &new, now, out)
        }
        TrustCommand::Set { height, hash, trust, period } => {
            let file = path(home, trust);
            let state = named(&GridRpc::of(home)?, *height, *hash).await?;
            let period = match period {
                Some(period) => Some(u64::try_from(period.as_millis()).unwrap_or(u64::MAX)),
                None => {
                    let old = TrustFile::read(&file).wrap_err("give --period for a first file")?;
                    old.trusting_period_ms()
                }
            };
            let new = TrustFile::new(state, period);
            new.write(&file)?;
            show(&file, &new, now_ms(None)?, out)
        }
        TrustCommand::HandOver { from, to, out: file } => {
            let way = GridRpc::of(home)?.hand_over(*from, *to).await?;
            let text = serde_json::to_string_pretty(&way)? + "\n";
            fs::write(file, text).wrap_err_with(|| format!("cannot write {}", file.display()))?;
            out.show(&way, |way| {
                let to = way.blocks.last().map_or(*from, |block| block.certificate.height);
                let count = way.blocks.len();
                format!("wrote {}: {count} header(s) from {from} to {to}", file.display())
            })
        }
    }
}

fn path(home: &Home, args: &TrustArgs) -> PathBuf {
    args.trust.clone().unwrap_or_else(|| home.trust_file())
}

/// A header by height and hash, with the validators that it names.
async fn named(rpc: &GridRpc, height: u64, hash: B256) -> Result<TrustedState> {
    let chain_id = rpc.tip().await?.chain_id;
    let block = rpc.light_block(height).await?;
    let found =
        GridHeader::decode(&block.header).wrap_err("the node's header is malformed")?.hash();
    if found != hash {
        bail!(
            "the node's block {height} is {found}, not {hash}: one of the two is of another chain"
        );
    }
    let next = block.next_validators.unwrap_or(block.validators);
    Ok(TrustedState::new(chain_id, &block.header, next)?)
}

fn show(file: &std::path::Path, trust: &TrustFile, now_ms: u64, out: Output) -> Result<()> {
    let state = trust.state();
    let shown = Shown {
        file: file.display().to_string(),
        chain_id: state.chain_id,
        height: state.height,
        block_hash: state.block_hash,
        validators: state.validators.as_slice().len(),
        trusted_until: trust.until().map(ToOwned::to_owned),
        expired: state.check_age(&trust.policy(), now_ms).is_err(),
    };
    out.show(&shown, |shown| {
        let until = shown.trusted_until.as_deref();
        let until = until.unwrap_or("always: the validators cannot leave");
        let mut text = format!(
            "{}\n  chain         eip155:{}\n  block         {} {}\n  validators    {}\n  trusted until {until}",
            shown.file, shown.chain_id, shown.height, shown.block_hash, shown.validators
        );
        if shown.expired {
            text.push_str(
                "\n  EXPIRED: ask somebody whom you trust for a newer block, then: grid trust set HEIGHT HASH",
            );
        }
        text
    })
}
