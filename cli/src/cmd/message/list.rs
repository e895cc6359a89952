//! `grid message list`: what may pass.

use alloy_primitives::Address;
use eyre::Result;
use grid_core::{
    ChainId,
    message::Route,
    modules::abi::{MAILBOX, Mailbox},
};
use serde::Serialize;

use super::chains;
use crate::{
    main_chain::GridRpc,
    output::{Output, table},
};

/// A route that was set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    source: ChainId,
    destination: ChainId,
    open: bool,
    listed_senders: bool,
    listed_recipients: bool,
    max_payload: u32,
    min_depth: u64,
    mailbox: Address,
}

pub(super) async fn run((rpc, own): (&GridRpc, &ChainId), out: Output) -> Result<()> {
    let mut routes = Vec::new();
    for (_, other) in chains(rpc, own).await?.into_iter().skip(1) {
        for (source, destination) in [(&other, own), (own, &other)] {
            routes.extend(route(rpc, source, destination).await?);
        }
    }
    out.show(&routes, |routes| people(routes))
}

async fn route(rpc: &GridRpc, source: &ChainId, destination: &ChainId) -> Result<Option<Shown>> {
    let call = Mailbox::routeOfCall { source: source.key().0, destination: destination.key().0 };
    let found = rpc.view(MAILBOX, &call).await?;
    let has = |bit| found.policy & bit != 0;
    let shown = Shown {
        source: source.clone(),
        destination: destination.clone(),
        open: has(Route::OPEN),
        listed_senders: has(Route::LISTED_SENDERS),
        listed_recipients: has(Route::LISTED_RECIPIENTS),
        max_payload: found.maxPayload,
        min_depth: found.minDepth,
        mailbox: found.mailbox,
    };
    let set = found.policy != 0 || found.maxPayload != 0;
    Ok(set.then_some(shown))
}

fn people(routes: &[Shown]) -> String {
    if routes.is_empty() {
        return "no route: the governor opens one with Mailbox.setRoute\n".into();
    }
    let rows = routes.iter().map(|route| {
        let listed = match (route.listed_senders, route.listed_recipients) {
            (false, false) => "everybody",
            (true, false) => "listed senders",
            (false, true) => "listed recipients",
            (true, true) => "listed senders and recipients",
        };
        [
            route.source.to_string(),
            route.destination.to_string(),
            if route.open { listed.into() } else { "closed".into() },
            route.max_payload.to_string(),
            route.min_depth.to_string(),
            route.mailbox.to_string(),
        ]
    });
    table(["FROM", "TO", "FOR", "PAYLOAD", "DEPTH", "MAILBOX"], rows)
}
