//! `grid guarantee quote` and `request`.

use core::ops::RangeInclusive;

use alloy_primitives::{B256, U256, utils::format_ether};
use alloy_sol_types::SolCall as _;
use eyre::{Result, WrapErr as _, ensure};
use grid_core::{
    guarantee::{GuaranteeParams, guarantee_id},
    modules::{
        ChainRecord,
        abi::{GUARANTEE, Guarantee, REGISTRY, Registry},
    },
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    Contract, POLL, Shown,
    payment::{self, Payment},
};
use crate::{
    args::{PaymentArgs, QuoteArgs, RequestArgs},
    btc,
    cmd::send::{self, Call, Draft, Sent},
    home::Home,
    output::Output,
};

/// Parts of the contract's risk in a percent, and in its fourth decimal.
const PERCENT: (u64, u64) = (10_000_000_000, 1_000_000);

/// What a cover costs now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quote {
    chain: String,
    txid: String,
    block: String,
    height: u64,
    confirmations: u64,
    /// Probability that the block is lost, in parts of 10^12.
    risk: u64,
    cover: U256,
    premium: U256,
    /// The most that can be covered in this block.
    available: U256,
    /// First and last height that a deadline may have.
    deadlines: [u64; 2],
    /// The newest tracked height.
    tip: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Requested {
    transaction: B256,
    guarantee: Shown,
}

pub(super) async fn quote(
    home: &Home,
    contract: &Contract,
    args: &QuoteArgs,
    out: Output,
) -> Result<()> {
    let params = contract.params().await?;
    let (_, quote) = quoted(home, contract, &params, (&args.payment, args.cover)).await?;
    out.show(&quote, people)
}

fn people(quote: &Quote) -> String {
    let [first, last] = quote.deadlines;
    format!(
        "payment        {}\nin block       {} of {} ({}), confirmations {}\nrisk           {}\ncover          {} GRID, \
         at most {} GRID\npremium        {} GRID\ndeadline       height {first} to {last}; now {}\n",
        quote.txid,
        quote.height,
        quote.chain,
        quote.block,
        quote.confirmations,
        percent(quote.risk),
        format_ether(quote.cover),
        format_ether(quote.available),
        format_ether(quote.premium),
        quote.tip,
    )
}

fn percent(risk: u64) -> String {
    let (percent, decimal) = PERCENT;
    format!("{}.{:04} %", risk / percent, risk % percent / decimal)
}

/// The payment and its price; tries again as long as the command waits.
async fn quoted(
    home: &Home,
    contract: &Contract,
    params: &GuaranteeParams,
    (args, cover): (&PaymentArgs, U256),
) -> Result<(Payment, Quote)> {
    let deadline = Instant::now() + *args.wait;
    loop {
        let tried = async {
            let payment = payment::named(home, args).await?;
            let quote = price(contract, params, &payment, cover).await?;
            Ok((payment, quote))
        };
        match tried.await {
            Err(_) if Instant::now() < deadline => sleep(POLL).await,
            outcome => return outcome,
        }
    }
}

async fn price(
    contract: &Contract,
    params: &GuaranteeParams,
    payment: &Payment,
    cover: U256,
) -> Result<Quote> {
    let key = payment.chain.key().0;
    let call = Guarantee::quoteCall { chain: key, blockHash: payment.block, cover };
    let price = contract
        .read(&call)
        .await
        .wrap_err_with(|| format!("no cover for the payment in block {}", payment.height))?;
    // After the quote: the tip is the payment's block at least.
    let chain = contract.rpc.chain(&payment.chain).await?;
    let record = contract.rpc.view(REGISTRY, &Registry::recordCall { chain: key }).await?;
    let record: ChainRecord =
        serde_json::from_slice(&record).wrap_err("the node's record of the chain is malformed")?;
    let tip = chain.tracked.height;
    let (first, last) = params.deadlines(tip, payment.height, record.window).into_inner();
    Ok(Quote {
        chain: chain.id.to_string(),
        txid: btc::display(payment.txid),
        block: btc::display(payment.block),
        height: payment.height,
        confirmations: price.confirmations,
        risk: price.risk,
        cover,
        premium: price.premium,
        available: price.available,
        deadlines: [first, last],
        tip,
    })
}

pub(super) async fn run(
    home: &Home,
    contract: &Contract,
    args: &RequestArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let params = contract.params().await?;
    let (payment, quote) = quoted(home, contract, &params, (&args.payment, args.cover)).await?;
    let value = args.max_premium.unwrap_or_else(|| with_margin(quote.premium));
    ensure!(
        quote.premium <= value,
        "the premium is {} GRID now, above --max-premium {}",
        format_ether(quote.premium),
        format_ether(value)
    );
    let [first, last] = quote.deadlines;
    let (chain, payer) = (payment.chain.key(), signer.address());
    let beneficiary = args.beneficiary.unwrap_or(payer);
    let id = guarantee_id(chain, &payment.txid, &beneficiary, &payer);
    let call = Guarantee::requestCall {
        chain: chain.0,
        blockHash: payment.block,
        payment: payment.proof.into(),
        cover: args.cover,
        beneficiary,
        deadline: deadline(args.within, &params, quote.tip, first..=last),
    };
    let call = Call { to: GUARANTEE, value, input: call.abi_encode().into() };
    let included = match send::send(&contract.rpc, &signer, call, args.sending.dry_run).await? {
        Sent::Included(included) => included.took_effect()?,
        Sent::Draft(draft) => return out.show(&draft, Draft::people),
    };
    let guarantee = contract.shown(id).await?;
    let requested = Requested { transaction: included.transaction, guarantee };
    out.show(&requested, |requested| {
        let Shown { id, deadline, cover, premium, beneficiary, .. } = &requested.guarantee;
        format!(
            "guaranteed: {} GRID for {beneficiary} if the payment is in no confirmed block up to {deadline}\n  \
             guarantee    {id}\n  premium      {} GRID\n  transaction  {}\nnext: grid guarantee explain {id}",
            format_ether(*cover),
            format_ether(*premium),
            requested.transaction
        )
    })
}

/// A quarter more: the price rises with every second without a block.
fn with_margin(premium: U256) -> U256 {
    premium.saturating_add(premium / U256::from(4))
}

/// The height of a deadline: what is asked for is the contract's to judge, the default is within its limits.
fn deadline(
    within: Option<u64>,
    params: &GuaranteeParams,
    tip: u64,
    range: RangeInclusive<u64>,
) -> u64 {
    match within {
        Some(blocks) => tip.saturating_add(blocks),
        // Twice the least: blocks may come before the request does.
        None => tip.saturating_add(params.min_term.saturating_mul(2)).min(*range.end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_risk_is_shown_in_percent() {
        assert_eq!(percent(200_000_000_000), "20.0000 %");
        assert_eq!(percent(12_345_678_901), "1.2345 %");
        assert_eq!(percent(1_000_000_000_000), "100.0000 %");
        assert_eq!(percent(0), "0.0000 %");
    }

    #[test]
    fn a_deadline_is_what_was_asked_for_or_within_the_limits() {
        let params = GuaranteeParams::default();
        assert_eq!(deadline(None, &params, 100, 106..=388), 112);
        assert_eq!(deadline(None, &params, 100, 106..=110), 110);
        assert_eq!(deadline(Some(3), &params, 100, 106..=388), 103, "the contract refuses it");
        assert_eq!(deadline(Some(u64::MAX), &params, 100, 106..=388), u64::MAX);
    }

    #[test]
    fn a_quote_says_what_people_need() {
        let unit = U256::from(10u64).pow(U256::from(18));
        let quote = Quote {
            chain: "bip122:1".into(),
            txid: "aa".into(),
            block: "bb".into(),
            height: 105,
            confirmations: 1,
            risk: 200_000_000_000,
            cover: unit * U256::from(50),
            premium: unit * U256::from(15),
            available: unit * U256::from(100),
            deadlines: [111, 393],
            tip: 105,
        };
        let text = people(&quote);
        for expected in
            ["105 of bip122:1", "confirmations 1", "20.0000 %", "15.0", "100.0", "111 to 393"]
        {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }
}
