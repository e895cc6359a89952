//! Blocks as bytes, with their certificates: for auditors, who check everything themselves.

use grid_core::api::RawBlock;

use super::{Method, Methods, RpcError, args::Args, context::Context, optional, required};
use crate::store::View;

/// The most blocks of one answer.
pub const MAX_RAW_BLOCKS: u64 = 256;
/// An answer ends with the block that reaches this many bytes, so that it stays below the server's limit in hex.
const MAX_RAW_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a signature or of a validator, roughly.
const SIGNER_BYTES: usize = 72;

pub(super) fn register(methods: &mut Methods) {
    let summary = "Consecutive blocks with their certificates, for auditors; fewer than asked for at the head and where they are large.";
    let params = &[required("from", "Number"), optional("most", "Number")];
    let method = Method::new("grid_rawBlocks", params, "[RawBlock]", summary);
    let limits = format!("{MAX_RAW_BLOCKS} blocks, {MAX_RAW_BYTES} bytes");
    methods.add(method.heavy().limits(limits), raw_blocks);
}

/// `grid_rawBlocks(from, most)`: consecutive blocks, fewer than asked for at the head and where they are large;
/// none above the head. Genesis has no certificate and is agreed on by configuration, so `from` is 1 or above.
fn raw_blocks(context: &Context, args: &mut Args) -> Result<Vec<RawBlock>, RpcError> {
    let from = args.height()?;
    let most = args.optional_height()?.unwrap_or(MAX_RAW_BLOCKS);
    if from == 0 {
        return Err(RpcError::params("block 0 follows from the genesis file; ask from 1"));
    }
    if most > MAX_RAW_BLOCKS {
        return Err(RpcError::limit(format!(
            "{most} blocks are over the limit of {MAX_RAW_BLOCKS}; ask for fewer and go on from there"
        )));
    }
    let view = context.view()?;
    let last = from.saturating_add(most).min(view.height().saturating_add(1));
    let mut blocks = Vec::new();
    let mut bytes = 0usize;
    for height in from..last {
        args.deadline().check(|| format!("block {height}"))?;
        let block = raw_block(&view, height)?;
        bytes = bytes.saturating_add(size(&block));
        blocks.push(block);
        if bytes >= MAX_RAW_BYTES {
            break;
        }
    }
    Ok(blocks)
}

fn raw_block(view: &View, height: u64) -> Result<RawBlock, RpcError> {
    let missing = |what: &str| RpcError::internal(format!("block {height} has no {what}"));
    let block = view.block_rlp(height)?.ok_or_else(|| missing("body"))?;
    let certificate = view.certificate(height)?.ok_or_else(|| missing("certificate"))?;
    let now = view.validators(height)?;
    let next = view.validators(height.saturating_add(1))?;
    let next = next.ok_or_else(|| missing("validators after it"))?;
    let next_validators = (now.as_ref() != Some(&next)).then_some(next);
    Ok(RawBlock { block: block.into(), certificate, next_validators })
}

fn size(raw: &RawBlock) -> usize {
    let next = raw.next_validators.as_ref().map_or(0, |set| set.as_slice().len());
    let signers = raw.certificate.signatures.len().saturating_add(next);
    raw.block.len().saturating_add(signers.saturating_mul(SIGNER_BYTES))
}
