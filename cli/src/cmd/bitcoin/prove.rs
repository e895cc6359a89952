//! `grid bitcoin prove`: facts about a block, from the block's own bytes.

use std::fs;

use eyre::{Result, WrapErr as _, bail};
use grid_core::{
    bitcoin::{
        NetworkParams,
        spv::{MAX_BLOCK_BYTES, RawBlock},
    },
    proof::{
        BlockProof, Claim,
        facts::{self, BitcoinFact, FactError},
    },
};
use serde::Serialize;

use super::file;
use crate::{
    args::BlockProveArgs,
    btc,
    output::{Output, write_line},
};

/// What `--json` says of a written file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    file: String,
    bytes: usize,
    claim: &'a Claim,
}

pub(super) fn run(args: &BlockProveArgs, out: Output) -> Result<()> {
    let source = NetworkParams::by_name(&args.network)?.chain_id();
    let facts = facts(args)?;
    let name = args.block.display();
    let bytes = file::read(&args.block, MAX_BLOCK_BYTES)?;
    let block = RawBlock::parse(&bytes).wrap_err_with(|| format!("{name} is not a block"))?;
    let inclusion = facts::from_block(&block.txs, &facts).map_err(|error| match error {
        FactError::Unknown { txid } => {
            eyre::eyre!("{name} has no transaction {}", btc::display(txid))
        }
        error => error.into(),
    })?;
    let proof = BlockProof::assemble(source, block.header, inclusion)?;
    let text = proof.to_json()?;
    let Some(file) = &args.out else { return write_line(&text) };
    fs::write(file, &text).wrap_err_with(|| format!("cannot write {}", file.display()))?;
    let written =
        Written { file: file.display().to_string(), bytes: text.len(), claim: &proof.claim };
    out.show(&written, |Written { file, bytes, .. }| {
        format!("wrote {file} ({bytes} bytes); check it with: grid bitcoin verify-proof {file}")
    })
}

fn facts(args: &BlockProveArgs) -> Result<Vec<BitcoinFact>> {
    if args.witness {
        let [txid] = args.what.as_slice() else {
            bail!("--witness proves one transaction: name exactly one TXID");
        };
        return Ok(vec![BitcoinFact::Witness { txid: btc::txid(txid)? }]);
    }
    let what = args.what.iter().map(|text| {
        if !text.contains(':') {
            return Ok(BitcoinFact::Tx { txid: btc::txid(text)? });
        }
        let (txid, output) = btc::outpoint(text)?;
        Ok(BitcoinFact::Payment { txid, output })
    });
    let data = args.data.iter().map(|text| {
        let (txid, output) = btc::outpoint(text)?;
        Ok(BitcoinFact::Data { txid, output })
    });
    what.chain(data).collect()
}
