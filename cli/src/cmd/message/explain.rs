//! `grid message explain`: how a message stands, why, and what can be done.

use alloy_primitives::B256;
use eyre::Result;
use grid_core::{
    ChainId,
    message::State,
    modules::abi::{MAILBOX, Mailbox},
};
use grid_relayer::store::MessageRow;
use serde::Serialize;

use super::{chains, seen};
use crate::{args::MessageExplainArgs, home::Home, main_chain::GridRpc, output::Output};

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
    seen: Option<Vec<MessageRow>>,
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
    });
    let name = state.map_or_else(|| "unknown".to_owned(), |state| state.to_string());
    let seen = seen(home, &format!("/{id}")).await;
    let next = next(state, cut.is_some());
    out.show(&Explained { id, state: name, known, next, seen }, people)
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
    }
    text.push_str(explained.next);
    text.push('\n');
    text.push_str(&on_its_way(explained.seen.as_deref()));
    text
}

fn on_its_way(seen: Option<&[MessageRow]>) -> String {
    let Some(seen) = seen else {
        return "relayer      does not answer: what it has seen is not known\n".into();
    };
    if seen.is_empty() {
        return "relayer      has not seen it on any chain that it follows\n".into();
    }
    let place = |row: &MessageRow| {
        let MessageRow { chain, block, tx, position, stage, .. } = row;
        let (height, reason) = (block.height, row.reason.as_deref().unwrap_or("nothing to tell"));
        format!(
            "relayer      {stage}: {reason}\n             seen in block {height} of {chain}, transaction {tx}, {position}\n"
        )
    };
    seen.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_says_what_comes_next() {
        let states = [None, Some(State::Sent), Some(State::Expired), Some(State::Breached)];
        let mut texts: Vec<_> = states.map(|state| next(state, false)).to_vec();
        texts.extend([false, true].map(|lost| next(Some(State::Delivered), lost)));
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), count);
    }

    #[test]
    fn a_lost_block_is_named() {
        let known = Known {
            source: "bip122:1".into(),
            destination: "eip155:7".into(),
            height: 9,
            block: B256::ZERO,
            anchor: 40,
            grid_height: 41,
            cut: Some((8, 50)),
        };
        let (id, state) = (B256::ZERO, "delivered".to_owned());
        let lost = next(Some(State::Delivered), true);
        let text = people(&Explained { id, state, known: Some(known), next: lost, seen: None });
        assert!(text.contains("below height 8 in Grid block 50"), "{text}");
    }
}
