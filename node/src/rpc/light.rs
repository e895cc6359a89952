//! `grid_lightBlock` and `grid_handOver`: what a light client of this chain asks for.

use grid_core::grid::light::{HandOver, LightBlock, LightError, TrustedState};

use super::{
    Method, Methods, RpcError,
    args::Args,
    context::{Context, header},
    error, optional, required,
};
use crate::store::View;

/// The most blocks that one search for a way looks at. Each costs a recovery for every signature.
pub const MAX_HAND_OVER: u32 = 128;

pub(super) fn register(methods: &mut Methods) {
    let unknown = [error::NOT_FOUND];
    let summary =
        "All that a light client of this chain needs of a block; without a height, of the newest.";
    let params = &[optional("height", "Number")];
    let method = Method::new("grid_lightBlock", params, "LightBlock", summary);
    methods.add(method.fails(&unknown), light_block);
    let summary = "The blocks that lead a light client from a trusted height to another; without one, to the newest.";
    let params = &[required("from", "Number"), optional("to", "Number")];
    let method = Method::new("grid_handOver", params, "HandOver", summary);
    let limits = format!("{MAX_HAND_OVER} blocks looked at");
    methods.add(method.heavy().fails(&unknown).limits(limits), hand_over);
}

fn light_block(context: &Context, args: &mut Args) -> Result<LightBlock, RpcError> {
    let view = context.view()?;
    let height = args.optional_height()?.unwrap_or_else(|| view.height());
    read_block(&view, height)
}

fn hand_over(context: &Context, args: &mut Args) -> Result<HandOver, RpcError> {
    let view = context.view()?;
    let from = args.height()?;
    let to = args.optional_height()?.unwrap_or_else(|| view.height());
    if to < from {
        return Err(RpcError::params(format!("to {to} is below from {from}")));
    }
    let chain_id = context.chain.id();
    if to == from {
        known(&view, to)?;
        return Ok(HandOver { chain_id, blocks: Vec::new() });
    }
    let start = trusted(&view, chain_id, from)?;
    let deadline = args.deadline();
    HandOver::find(start, to, MAX_HAND_OVER, |height| {
        deadline.check(|| format!("block {height}")).map_err(Unavailable::Block)?;
        read_block(&view, height).map_err(Unavailable::Block)
    })
    .map_err(|error| match error {
        Unavailable::Block(error) => error,
        Unavailable::Way(error) => RpcError::limit(format!(
            "no way from {from} to {to} over at most {MAX_HAND_OVER} blocks ({error}); ask for a lower `to` first"
        )),
    })
}

/// Why no way is found.
enum Unavailable {
    Block(RpcError),
    Way(LightError),
}

impl From<LightError> for Unavailable {
    fn from(error: LightError) -> Self {
        Self::Way(error)
    }
}

fn known(view: &View, height: u64) -> Result<(), RpcError> {
    if height <= view.height() {
        return Ok(());
    }
    Err(RpcError::not_found(format!(
        "block {height} does not exist yet, the newest is {}",
        view.height()
    )))
}

/// What a client knows that trusts this block.
fn trusted(view: &View, chain_id: u64, height: u64) -> Result<TrustedState, RpcError> {
    known(view, height)?;
    let (header, _) = header(view, height)?;
    let next = deciders(view, height.saturating_add(1))?;
    TrustedState::new(chain_id, &alloy_rlp::encode(&header), next)
        .map_err(|error| RpcError::internal(format!("block {height}: {error}")))
}

fn read_block(view: &View, height: u64) -> Result<LightBlock, RpcError> {
    known(view, height)?;
    let (header, _) = header(view, height)?;
    let certificate = view.certificate(height)?.ok_or_else(|| {
        RpcError::not_found(format!(
            "block {height} has no certificate; genesis is agreed on by configuration"
        ))
    })?;
    let validators = deciders(view, height)?;
    let next = deciders(view, height.saturating_add(1))?;
    let next_validators = (next != validators).then_some(next);
    let header = alloy_rlp::encode(&header).into();
    Ok(LightBlock { header, certificate, validators, next_validators })
}

/// Who decides a height.
fn deciders(view: &View, height: u64) -> Result<grid_core::grid::ValidatorSet, RpcError> {
    view.validators(height)?
        .ok_or_else(|| RpcError::internal(format!("validators of height {height} are missing")))
}
