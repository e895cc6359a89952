//! `grid guarantee keep`: ends whatever can be ended, for the pool and for the beneficiaries.

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use eyre::Result;
use grid_core::{
    Security,
    modules::abi::{GUARANTEE, Guarantee},
};
use serde::Serialize;
use tokio::time::sleep;

use super::{Contract, end::Ending};
use crate::{
    args::{BlockArg, KeepArgs},
    cmd::send::{self, Sent},
    home::Home,
    output::{Output, write_line},
};

/// What a round did.
#[derive(Debug, Default, Serialize)]
struct Round {
    open: usize,
    ended: Vec<Ended>,
    failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Ended {
    guarantee: B256,
    transaction: B256,
    message: String,
}

#[derive(Debug, Serialize)]
struct Failed {
    guarantee: B256,
    reason: String,
}

pub(super) async fn run(
    home: &Home,
    contract: &Contract,
    args: &KeepArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    if args.once {
        let round = round(home, contract, &signer).await?;
        return out.show(&round, people);
    }
    loop {
        match round(home, contract, &signer).await {
            Ok(round) if round.ended.is_empty() && round.failed.is_empty() => {}
            Ok(round) => out.show(&round, people)?,
            // A node that is away comes back.
            Err(error) => write_line(&format!("{error:#}; trying again"))?,
        }
        sleep(*args.every).await;
    }
}

/// Looks at every open guarantee once. One that cannot be ended does not keep the others.
async fn round(home: &Home, contract: &Contract, signer: &PrivateKeySigner) -> Result<Round> {
    let mut round = Round::default();
    for chain in contract.rpc.chains().await? {
        if chain.security != Security::ProofOfWork {
            continue;
        }
        let open = contract.read(&Guarantee::openOfCall { chain: chain.key }).await?;
        round.open += open.ids.len();
        for guarantee in open.ids {
            match end(home, contract, signer, guarantee).await {
                Ok(ended) => round.ended.extend(ended),
                Err(error) => {
                    round.failed.push(Failed { guarantee, reason: format!("{error:#}") });
                }
            }
        }
    }
    Ok(round)
}

/// Ends a guarantee if one of the ways is open: to settle comes first.
async fn end(
    home: &Home,
    contract: &Contract,
    signer: &PrivateKeySigner,
    guarantee: B256,
) -> Result<Option<Ended>> {
    let nowhere = BlockArg { block: None };
    // Where the source does not have the payment, or cannot be asked, a claim may still be due.
    let settlement = Ending::settlement(home, contract, guarantee, &nowhere).await.ok();
    let claim = Ending::claim(contract, guarantee).await?;
    for ending in settlement.into_iter().chain([claim]) {
        if contract.rpc.refusal(GUARANTEE, &ending.input).await?.is_some() {
            continue;
        }
        let sent = send::send(&contract.rpc, signer, ending.call(), false).await?;
        if let Sent::Included(included) = sent {
            let transaction = included.took_effect()?.transaction;
            return Ok(Some(Ended { guarantee, transaction, message: ending.message }));
        }
    }
    Ok(None)
}

fn people(round: &Round) -> String {
    let mut text = String::new();
    for ended in &round.ended {
        text.push_str(&format!("{} {}\n", ended.guarantee, ended.message));
    }
    for failed in &round.failed {
        text.push_str(&format!("{} FAILED: {}\n", failed.guarantee, failed.reason));
    }
    text.push_str(&format!("{} of {} open guarantees ended", round.ended.len(), round.open));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_says_what_ended_and_what_failed() {
        let round = Round {
            open: 3,
            ended: vec![Ended {
                guarantee: B256::repeat_byte(1),
                transaction: B256::repeat_byte(2),
                message: "settled".into(),
            }],
            failed: vec![Failed { guarantee: B256::repeat_byte(3), reason: "no funds".into() }],
        };
        let text = people(&round);
        for expected in ["0x0101", "settled", "0x0303", "FAILED: no funds", "1 of 3"] {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }
}
