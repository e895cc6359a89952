//! `grid message explain`: how a message stands, why, and what can be done.

use alloy_primitives::B256;
use eyre::Result;
use grid_core::{
    ChainId,
    guarantee::Status,
    message::State,
    modules::abi::{MAILBOX, Mailbox},
};
use grid_relayer::{
    http::ItemDetail,
    messages,
    store::{Item, MessageRow},
};
use serde::Serialize;

use super::{chains, list::route, seen};
use crate::{
    api::RelayerApi, args::MessageExplainArgs, home::Home, main_chain::GridRpc, output::Output,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    id: B256,
    state: String,
    /// Absent where the message is unknown, as the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
    next: &'static str,
    /// Where the relayer has seen it, the newest place first; absent where the relayer does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<Vec<Placed>>,
    /// The relayer's delivery, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Item>,
}

/// A place where the relayer has seen a message, and what the main chain says of its block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Placed {
    #[serde(flatten)]
    row: MessageRow,
    /// The source's status on the main chain.
    status: String,
    /// The highest block of the source that the main chain has confirmed.
    confirmed: Option<u64>,
    /// The height that it must have confirmed for a delivery from here; absent where no route is open.
    needed: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    source: String,
    destination: String,
    /// The source's block with the message.
    height: u64,
    /// Its hash, internal byte order.
    block: B256,
    /// The Grid block whose index showed that block.
    anchor: u64,
    /// The Grid block that recorded this.
    grid_height: u64,
    /// The lowest height that was cut off, and the Grid block that did it, where the source's block is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<(u64, u64)>,
    /// What it took effect under before its block was confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    guarantee: Option<Backing>,
}

/// A guarantee.
#[derive(Debug, Serialize)]
struct Backing {
    id: B256,
    status: String,
}

impl Backing {
    fn of(id: B256, status: u8) -> Option<Self> {
        let status = Status::from_code(status.into())?;
        Some(Self { id, status: status.to_string() })
    }
}

pub(super) async fn run(
    home: &Home,
    (rpc, own): (&GridRpc, &ChainId),
    args: &MessageExplainArgs,
    out: Output,
) -> Result<()> {
    let id = args.id;
    let found = rpc.view(MAILBOX, &Mailbox::messageOfCall { id }).await?;
    let state = State::from_code(found.state);
    let names = chains(rpc, own).await?;
    let name = |key: B256| {
        let known = names.iter().find(|(other, _)| *other == key);
        known.map_or_else(|| key.to_string(), |(_, id)| id.to_string())
    };
    let cut = (found.brokenAt != 0).then_some((found.brokenFrom, found.brokenAt));
    let known = state.map(|_| Known {
        source: name(found.source),
        destination: name(found.destination),
        height: found.height,
        block: found.blockHash,
        anchor: found.anchor,
        grid_height: found.gridHeight,
        cut,
        guarantee: Backing::of(found.guarantee, found.guaranteeStatus),
    });
    let name = state.map_or_else(|| "unknown".to_owned(), |state| state.to_string());
    let seen = match seen(home, &format!("/{id}")).await {
        Some(rows) => Some(placed(rpc, own, rows).await?),
        None => None,
    };
    let delivery = delivery(home, &id).await;
    let next = next(state, cut.is_some());
    out.show(&Explained { id, state: name, known, next, seen, delivery }, people)
}

/// The places with what the main chain says of them.
async fn placed(rpc: &GridRpc, own: &ChainId, rows: Vec<MessageRow>) -> Result<Vec<Placed>> {
    let chains = if rows.is_empty() { Vec::new() } else { rpc.chains().await? };
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let info = chains.iter().find(|info| info.id == row.chain);
        let confirmed = info.and_then(|info| info.confirmed).map(|at| at.height);
        let route = route(rpc, &row.chain, own).await?.filter(|route| route.open);
        let needed = route.map(|route| row.block.height.saturating_add(route.min_depth));
        let status = info.map_or_else(|| "not registered".into(), |info| info.status.clone());
        all.push(Placed { row, status, confirmed, needed });
    }
    Ok(all)
}

/// The item that carries a message; `None` where there is none, or the relayer does not answer.
async fn delivery(home: &Home, id: &B256) -> Option<Item> {
    let path = format!("/v1/items/{}", messages::item_key(id));
    Some(RelayerApi::of(home).ok()?.get::<ItemDetail>(&path).await.ok()?.item)
}

const fn next(state: Option<State>, lost: bool) -> &'static str {
    match (state, lost) {
        (None, _) => {
            "not shown here yet: it takes effect when somebody delivers it by a proof of a confirmed block, before its deadline"
        }
        (Some(State::Sent), _) => "sent from here: ask its destination how it stands there",
        (Some(State::Delivered), false) => "it took effect, and never will again",
        (Some(State::Delivered), true) => {
            "it took effect, and its block is gone: anybody may report it, or deliver it from another block"
        }
        (Some(State::Expired), _) => "it was shown after its deadline and never takes effect",
        (Some(State::Guaranteed), _) => {
            "it took effect before its block was confirmed, and never will again; if its transaction is lost, the guarantee pays"
        }
        (Some(State::Breached), _) => {
            "it took effect under a confirmation rule too weak for the reorganisation that came: shown in another confirmed block it stands again"
        }
    }
}

fn people(explained: &Explained) -> String {
    let mut text = format!("message      {}\nstate        {}\n", explained.id, explained.state);
    if let Some(known) = &explained.known {
        text.push_str(&format!(
            "from         {}, block {} ({})\nto           {}\nrecorded     in Grid block {}, by the index of Grid block {}\n",
            known.source, known.height, known.block, known.destination, known.grid_height, known.anchor
        ));
        if let Some((from, at)) = known.cut {
            text.push_str(&format!(
                "cut          the source's index was cut back to below height {from} in Grid block {at}\n"
            ));
        }
        if let Some(Backing { id, status }) = &known.guarantee {
            text.push_str(&format!("guarantee    {id}, {status}: grid guarantee explain {id}\n"));
        }
    }
    text.push_str(explained.next);
    text.push('\n');
    text.push_str(&on_its_way(explained.seen.as_deref()));
    if let Some(Item { stage, attempt, reason, tx_hash, .. }) = &explained.delivery {
        let sent = tx_hash.map_or_else(|| "not sent".into(), |hash| format!("transaction {hash}"));
        let reason = reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        text.push_str(&format!("delivery     {stage}, {sent}, {attempt} failures{reason}\n"));
    }
    text
}

fn on_its_way(seen: Option<&[Placed]>) -> String {
    let Some(seen) = seen else {
        return "relayer      does not answer: what it has seen is not known\n".into();
    };
    if seen.is_empty() {
        return "relayer      has not seen it on any chain that it follows\n".into();
    }
    seen.iter().map(place).collect()
}

fn place(Placed { row, status, confirmed, needed }: &Placed) -> String {
    let MessageRow { chain, block, tx, position, stage, .. } = row;
    let (height, reason) = (block.height, row.reason.as_deref().unwrap_or("nothing to tell"));
    let has = confirmed.map_or_else(|| "no block".into(), |at| format!("block {at}"));
    let depth = needed.map_or_else(
        || "no route is open: the governor opens one with `grid message route`".into(),
        |needed| {
            format!(
                "on the main chain it is {status}, {has} is confirmed, a delivery needs block {needed}"
            )
        },
    );
    format!(
        "relayer      {stage}: {reason}\n             seen in block {height} of {chain}, transaction {tx}, {position}\n             \
         {depth}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_says_what_comes_next() {
        let states = [State::Sent, State::Expired, State::Breached, State::Guaranteed].map(Some);
        let mut texts: Vec<_> = states.map(|state| next(state, false)).to_vec();
        texts.push(next(None, false));
        texts.extend([false, true].map(|lost| next(Some(State::Delivered), lost)));
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), count);
    }

    fn known() -> Known {
        Known {
            source: "bip122:1".into(),
            destination: "eip155:7".into(),
            height: 9,
            block: B256::ZERO,
            anchor: 40,
            grid_height: 41,
            cut: None,
            guarantee: None,
        }
    }

    #[test]
    fn a_guarantee_is_named_with_its_status() {
        assert!(Backing::of(B256::ZERO, 0).is_none());
        let guarantee = Backing::of(B256::repeat_byte(7), 3);
        let (id, state) = (B256::ZERO, State::Guaranteed.to_string());
        let next = next(Some(State::Guaranteed), false);
        let known = Some(Known { guarantee, ..known() });
        let text = people(&Explained { id, state, known, next, seen: None, delivery: None });
        assert!(text.contains("guarantee    0x0707"), "{text}");
        assert!(text.contains(", defaulted: grid guarantee explain 0x0707"), "{text}");
    }

    #[test]
    fn a_lost_block_is_named() {
        let known = Known { cut: Some((8, 50)), ..known() };
        let (id, state) = (B256::ZERO, "delivered".to_owned());
        let lost = next(Some(State::Delivered), true);
        let (seen, delivery) = (None, None);
        let text = people(&Explained { id, state, known: Some(known), next: lost, seen, delivery });
        assert!(text.contains("below height 8 in Grid block 50"), "{text}");
    }
}
