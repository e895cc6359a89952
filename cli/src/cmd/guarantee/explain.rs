//! `grid guarantee explain`: how a guarantee stands, why, and what can be done.
//!
//! Whether it can be ended is asked of the contract itself: its own refusals are the reasons.

use alloy_primitives::utils::format_ether;
use alloy_sol_types::SolCall;
use eyre::Result;
use grid_core::{
    api::ChainInfo,
    guarantee::Status,
    modules::abi::{GUARANTEE, Guarantee},
};
use serde::Serialize;

use super::{Contract, Shown, payment};
use crate::{args::ExplainArgs, btc, home::Home, output::Output};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    guarantee: Shown,
    /// The newest tracked height.
    tracked: u64,
    /// The newest confirmed height.
    confirmed: Option<u64>,
    /// What the confirmed tip must pass before a claim.
    claim_after: u64,
    /// Absent where it is over, as the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    /// Why its own block does not settle it now; absent where it does.
    settle_refused: Option<String>,
    /// Why it cannot be claimed now; absent where it can.
    claim_refused: Option<String>,
    /// The block where the source has the payment now.
    found: Option<Place>,
    /// Why the source shows none.
    not_found: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    height: u64,
    block: String,
}

pub(super) async fn run(
    home: &Home,
    contract: &Contract,
    args: &ExplainArgs,
    out: Output,
) -> Result<()> {
    let (found, chain) = contract.guarantee(args.id).await?;
    let over = Status::from_code(found.status.into()) != Some(Status::Guaranteed);
    let open = if over { None } else { Some(open(home, contract, (args, &found), &chain).await?) };
    let grace = contract.params().await?.grace;
    let explained = Explained {
        guarantee: Shown::new(args.id, &found, &chain),
        tracked: chain.tracked.height,
        confirmed: chain.confirmed.map(|at| at.height),
        claim_after: found.deadline.saturating_add(grace),
        open,
    };
    out.show(&explained, people)
}

async fn open(
    home: &Home,
    contract: &Contract,
    (args, guarantee): (&ExplainArgs, &Guarantee::guaranteeOfReturn),
    chain: &ChainInfo,
) -> Result<Open> {
    let id = args.id;
    let (found, not_found) =
        match payment::find(home, Some(&chain.id), guarantee.txid, &args.block).await {
            Ok(at) => (Some(Place { height: at.height, block: btc::display(at.block) }), None),
            // The main chain decides; a source that cannot be asked is not the end of it.
            Err(error) => (None, Some(format!("{error:#}"))),
        };
    Ok(Open {
        settle_refused: refused(contract, &Guarantee::settleCall { id }).await?,
        claim_refused: refused(contract, &Guarantee::claimCall { id }).await?,
        found,
        not_found,
    })
}

async fn refused(contract: &Contract, call: &impl SolCall) -> Result<Option<String>> {
    contract.rpc.refusal(GUARANTEE, &call.abi_encode().into()).await
}

fn people(explained: &Explained) -> String {
    let Explained { guarantee, tracked, confirmed, claim_after, open } = explained;
    let confirmed = confirmed.map_or_else(|| "nothing".into(), |height| height.to_string());
    let mut text = format!(
        "guarantee    {}\nstatus       {}\npayment      {}\nrequested    in block {} ({}) of {}\ndeadline     {}; a claim needs a \
         confirmed tip above {claim_after}\nnow          tracked up to {tracked}, confirmed up to {confirmed}\ncover        {} \
         GRID for {}\npremium      {} GRID, paid by {}\n",
        guarantee.id,
        guarantee.status,
        guarantee.txid,
        guarantee.height,
        guarantee.block,
        guarantee.chain,
        guarantee.deadline,
        format_ether(guarantee.cover),
        guarantee.beneficiary,
        format_ether(guarantee.premium),
        guarantee.payer,
    );
    if let Some(open) = open {
        text.push_str(&open.people(guarantee));
    }
    text
}

impl Open {
    fn people(&self, guarantee: &Shown) -> String {
        let mut text = String::new();
        match (&self.found, &self.not_found) {
            (Some(at), _) if at.block == guarantee.block => {
                text.push_str("the source has the payment in the same block\n");
            }
            (Some(at), _) => text.push_str(&format!(
                "the source has the payment in another block: {} ({})\n",
                at.height, at.block
            )),
            (None, reason) => text.push_str(&format!(
                "the source shows no block with the payment: {}\n",
                reason.as_deref().unwrap_or("?")
            )),
        }
        for (what, refused) in [("settle", &self.settle_refused), ("claim", &self.claim_refused)] {
            text.push_str(&match refused {
                None => format!("can be ended: grid guarantee {what} {}\n", guarantee.id),
                Some(reason) => format!("no {what} now: {reason}\n"),
            });
        }
        let again = self.found.as_ref().filter(|at| at.block != guarantee.block);
        if let Some(at) = again.filter(|at| at.height <= guarantee.deadline) {
            text.push_str(&format!(
                "mined again in time: once block {} is confirmed, grid guarantee settle {}\n",
                at.height, guarantee.id
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, U256};

    use super::*;

    fn explained(open: Option<Open>) -> String {
        let guarantee = Shown {
            id: B256::repeat_byte(7),
            status: "guaranteed".into(),
            chain: "bip122:1".into(),
            txid: "ab".repeat(32),
            block: "cd".repeat(32),
            height: 105,
            deadline: 117,
            cover: U256::ZERO,
            premium: U256::ZERO,
            beneficiary: Address::repeat_byte(2),
            payer: Address::repeat_byte(3),
        };
        people(&Explained { guarantee, tracked: 106, confirmed: Some(104), claim_after: 129, open })
    }

    #[test]
    fn the_reasons_are_the_contracts_own() {
        let text = explained(Some(Open {
            settle_refused: Some("height 105 is not confirmed".into()),
            claim_refused: None,
            found: Some(Place { height: 106, block: "ef".repeat(32) }),
            not_found: None,
        }));
        for expected in [
            "height 105 is not confirmed",
            "another block: 106",
            "mined again in time",
            "can be ended: grid guarantee claim",
            "above 129",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }

    #[test]
    fn one_that_is_over_has_no_next_step() {
        let text = explained(None);
        assert!(!text.contains("grid guarantee"), "{text}");
    }
}
