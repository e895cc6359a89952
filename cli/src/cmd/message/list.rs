//! `grid message list`: what may pass.

use alloy_primitives::Address;
use eyre::Result;
use grid_core::{
    ChainId,
    message::Route,
    modules::abi::{MAILBOX, Mailbox},
};
use grid_relayer::store::MessageRow;
use serde::Serialize;

use super::{chains, seen};
use crate::{
    args::MessageListArgs,
    home::Home,
    main_chain::GridRpc,
    output::{Output, table},
};

/// A route that was set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    source: ChainId,
    destination: ChainId,
    pub(super) open: bool,
    listed_senders: bool,
    listed_recipients: bool,
    /// Also before a block is confirmed, to recipients that ask for a guarantee.
    guaranteed: bool,
    max_payload: u32,
    pub(super) min_depth: u64,
    mailbox: Address,
}

/// What may pass, and what is on its way.
#[derive(Debug, Serialize)]
struct Listed {
    routes: Vec<Shown>,
    /// What the relayer has seen, the last first; absent where it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<MessageRow>>,
}

pub(super) async fn run(
    home: &Home,
    (rpc, own): (&GridRpc, &ChainId),
    args: &MessageListArgs,
    out: Output,
) -> Result<()> {
    let mut routes = Vec::new();
    for (_, other) in chains(rpc, own).await?.into_iter().skip(1) {
        for (source, destination) in [(&other, own), (own, &other)] {
            routes.extend(route(rpc, source, destination).await?);
        }
    }
    let messages = seen(home, &format!("?limit={}", args.limit)).await;
    let listed = Listed { routes, messages };
    out.show(&listed, |Listed { routes, messages }| {
        format!("{}\n{}", people(routes), carried(messages.as_deref()))
    })
}

/// The route between two chains; `None` where none was set.
pub(super) async fn route(
    rpc: &GridRpc,
    source: &ChainId,
    destination: &ChainId,
) -> Result<Option<Shown>> {
    let call = Mailbox::routeOfCall { source: source.key().0, destination: destination.key().0 };
    let found = rpc.view(MAILBOX, &call).await?;
    let has = |bit| found.policy & bit != 0;
    let shown = Shown {
        source: source.clone(),
        destination: destination.clone(),
        open: has(Route::OPEN),
        listed_senders: has(Route::LISTED_SENDERS),
        listed_recipients: has(Route::LISTED_RECIPIENTS),
        guaranteed: has(Route::GUARANTEED),
        max_payload: found.maxPayload,
        min_depth: found.minDepth,
        mailbox: found.mailbox,
    };
    let set = found.policy != 0 || found.maxPayload != 0;
    Ok(set.then_some(shown))
}

fn carried(messages: Option<&[MessageRow]>) -> String {
    let Some(messages) = messages else {
        return "the relayer does not answer: what is on its way is not known\n".into();
    };
    if messages.is_empty() {
        return "the relayer has seen no message\n".into();
    }
    let rows = messages.iter().map(|row| {
        [
            row.id.to_string(),
            row.chain.to_string(),
            row.block.height.to_string(),
            row.stage.to_string(),
            row.reason.clone().unwrap_or_default(),
        ]
    });
    table(["MESSAGE", "FROM", "BLOCK", "STAGE", "REASON"], rows)
}

fn people(routes: &[Shown]) -> String {
    if routes.is_empty() {
        return "no route: the governor opens one with `grid message route`\n".into();
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
            if route.open && route.guaranteed { "yes" } else { "no" }.into(),
            route.max_payload.to_string(),
            route.min_depth.to_string(),
            route.mailbox.to_string(),
        ]
    });
    table(["FROM", "TO", "FOR", "GUARANTEED", "PAYLOAD", "DEPTH", "MAILBOX"], rows)
}
