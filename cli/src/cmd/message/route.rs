//! `grid message route`.

use alloy_primitives::U256;
use alloy_sol_types::SolCall as _;
use eyre::Result;
use grid_core::{
    ChainId,
    message::Route,
    modules::abi::{MAILBOX, Mailbox},
};

use crate::{
    args::MessageRouteArgs,
    cmd::send::{self, Call},
    home::Home,
    main_chain::GridRpc,
    output::Output,
};

pub(super) async fn run(
    home: &Home,
    (rpc, own): (&GridRpc, &ChainId),
    args: &MessageRouteArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let ends = if args.outgoing { (own, &args.chain) } else { (&args.chain, own) };
    let call = Mailbox::setRouteCall {
        source: ends.0.key().0,
        destination: ends.1.key().0,
        policy: policy(args),
        maxPayload: args.max_payload,
        minDepth: args.min_depth,
        mailbox: args.mailbox,
    };
    let call = Call { to: MAILBOX, value: U256::ZERO, input: call.abi_encode().into() };
    let state = if args.closed { "closed" } else { "open" };
    let message = format!("the route from {} to {} is {state}", ends.0, ends.1);
    send::perform(rpc, &signer, call, message, (args.sending.dry_run, out)).await
}

fn policy(args: &MessageRouteArgs) -> u8 {
    let bits = [
        (!args.closed, Route::OPEN),
        (args.listed_senders, Route::LISTED_SENDERS),
        (args.listed_recipients, Route::LISTED_RECIPIENTS),
        (args.guaranteed, Route::GUARANTEED),
    ];
    bits.into_iter().filter(|(set, _)| *set).fold(0, |policy, (_, bit)| policy | bit)
}
