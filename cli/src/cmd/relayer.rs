//! `grid relayer explain`, `items`, `retry`, `drop`, `pause`, `resume`.

use std::time::{Duration, UNIX_EPOCH};

use alloy_primitives::{U256, utils::format_ether};
use eyre::Result;
use grid_relayer::{
    Explanation,
    explain::{OnMain, Transaction},
    http::{ChainPause, ItemChanged, ItemPage, PauseRequest, Retried},
    store::{Item, Stage},
};

use crate::{
    api::{RelayerApi, segment},
    args::{ItemsArgs, PauseArgs, RelayerCommand, RetryArgs},
    home::Home,
    output::{Output, short, table},
};

/// Most items that one answer holds.
const PAGE: u32 = 500;

pub(super) async fn run(home: &Home, command: &RelayerCommand, out: Output) -> Result<()> {
    let api = RelayerApi::of(home)?;
    match command {
        RelayerCommand::Run(args) => super::run::relayer(home, args, out).await,
        RelayerCommand::Status(args) => super::status::run(home, args, out).await,
        RelayerCommand::Explain { id } => {
            let said: Explanation = api.get(&format!("/v1/explain/{}", segment(id))).await?;
            out.show(&said, explanation)
        }
        RelayerCommand::Items(args) => items(&api, args, out).await,
        RelayerCommand::Retry(args) => retry(&api, args, out).await,
        RelayerCommand::Drop { key } => {
            let path = format!("/v1/admin/items/{}/drop", segment(key));
            let changed: ItemChanged = api.post(&path, &()).await?;
            out.show(&changed, |changed| format!("{} is dropped", changed.item.key))
        }
        RelayerCommand::Pause(PauseArgs { chain, reason, by }) => {
            let request = PauseRequest { by: by.clone(), reason: reason.clone() };
            let path = format!("/v1/admin/chains/{}/pause", segment(chain.as_str()));
            let done: ChainPause = api.post(&path, &request).await?;
            out.show(&done, |done| {
                format!(
                    "{chain} is paused; `grid relayer resume {chain}` ends it",
                    chain = done.chain
                )
            })
        }
        RelayerCommand::Resume { chain } => {
            let path = format!("/v1/admin/chains/{}/resume", segment(chain.as_str()));
            let done: ChainPause = api.post(&path, &()).await?;
            out.show(&done, |done| format!("{} is relayed again", done.chain))
        }
    }
}

async fn retry(api: &RelayerApi, args: &RetryArgs, out: Output) -> Result<()> {
    let Some(key) = &args.key else {
        let only = args.chain.as_ref().map(|chain| format!("?chain={}", segment(chain.as_str())));
        let path = format!("/v1/admin/retry-parked{}", only.unwrap_or_default());
        let done: Retried = api.post(&path, &()).await?;
        return out.show(&done, |done| format!("{} item(s) are planned again", done.retried));
    };
    let path = format!("/v1/admin/items/{}/retry", segment(key));
    let changed: ItemChanged = api.post(&path, &()).await?;
    out.show(&changed, |changed| format!("{} is planned again", changed.item.key))
}

async fn items(api: &RelayerApi, args: &ItemsArgs, out: Output) -> Result<()> {
    let stage = if args.parked { Some(Stage::Parked) } else { args.stage };
    let mut filter = String::new();
    if let Some(chain) = &args.chain {
        filter.push_str(&format!("&chain={}", segment(chain.as_str())));
    }
    if let Some(stage) = stage {
        filter.push_str(&format!("&stage={stage}"));
    }
    let mut page = ItemPage { items: Vec::new(), next: None };
    loop {
        let missing =
            args.limit.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        let after = page.next.as_deref().map(|next| format!("&after={}", segment(next)));
        let after = after.unwrap_or_default();
        let path = format!("/v1/items?limit={}{filter}{after}", missing.min(PAGE));
        let more: ItemPage = api.get(&path).await?;
        page.items.extend(more.items);
        page.next = more.next;
        if page.next.is_none() || page.items.len() >= usize::try_from(args.limit).unwrap_or(0) {
            break;
        }
    }
    out.show(&page, |page| {
        let mut text = list(&page.items);
        if page.next.is_some() {
            text.push_str("there are more: --limit, --chain, --stage\n");
        }
        text
    })
}

fn list(items: &[Item]) -> String {
    if items.is_empty() {
        return "no items".into();
    }
    let rows = items.iter().map(|item| {
        [
            item.key.clone(),
            item.stage.to_string(),
            item.attempt.to_string(),
            time(item.updated_at),
            item.reason.clone().unwrap_or_default(),
        ]
    });
    table(["ITEM", "STAGE", "FAILURES", "SINCE", "REASON"], rows)
}

/// A time, to the second.
fn time(millis: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
    time.map_or_else(|| "-".into(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

fn explanation(said: &Explanation) -> String {
    let mut text = format!("{}\n\n", said.summary);
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<13} {value}\n"));
    if let (Some(chain), Some(height)) = (&said.chain, said.height) {
        let hash = said.hash.map(|hash| hash.to_string()).unwrap_or_default();
        line("header", format!("{height} of {chain}  {hash}"));
    }
    if let Some(item) = &said.item {
        line("item", item.key.clone());
        line("stage", format!("{} since {}", item.stage, time(item.updated_at)));
        line("failures", item.attempt.to_string());
        if let Some(reason) = &item.reason {
            line("reason", reason.clone());
        }
        if item.next_at > said.now {
            line("next try", time(item.next_at));
        }
    }
    if let Some(lease) = &said.lease {
        line("lease", format!("{} until {}", lease.holder, time(lease.until)));
    }
    if !said.sources.is_empty() {
        line("sources", said.sources.join(", "));
    }
    if let Some(main) = &said.main {
        line("main chain", on_main(main));
        line("confirmation", confirmation(main));
    }
    if let Some(holder) = &said.holder {
        let whose = if holder.here { " (the one that answers)" } else { "" };
        line("held by", format!("{holder}{whose} until {}", time(holder.until)));
    }
    if let Some(pause) = &said.paused {
        let why = pause.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        line("paused", format!("by {} since {}{why}", pause.by, time(pause.since)));
    }
    let fees = said.transactions.iter().filter_map(|one| Some(one.cost.as_ref()?.fee));
    if let Some(fee) = fees.reduce(U256::saturating_add) {
        line("cost", format!("{} GRID", format_ether(fee)));
    }
    if let Some(page) = &said.runbook {
        line("runbook", format!("docs/runbooks/{page}.md"));
    }
    if !said.timeline.is_empty() {
        let rows = said.timeline.iter().map(|step| {
            let after = format!("+{}", grid_relayer::clock::span(step.after));
            [time(step.at), after, step.what.clone(), step.detail.clone()]
        });
        text.push_str(&format!("\n{}", table(["TIME", "AFTER", "STEP", "DETAIL"], rows)));
    }
    if !said.transactions.is_empty() {
        let rows = said.transactions.iter().map(|Transaction { carried, cost }| {
            let [block, gas, fee] = match cost {
                Some(cost) => {
                    [cost.block.to_string(), cost.gas.to_string(), format_ether(cost.fee)]
                }
                None => ["-"; 3].map(String::from),
            };
            [
                short(&carried.hash.to_string()),
                carried.nonce.to_string(),
                carried.outcome.clone(),
                carried.sends.to_string(),
                carried.max_fee.to_string(),
                block,
                gas,
                fee,
            ]
        });
        let head =
            ["TRANSACTION", "NONCE", "OUTCOME", "SENT", "MAX FEE", "BLOCK", "GAS", "COST IN GRID"];
        text.push_str(&format!("\n{}", table(head, rows)));
    }
    text
}

fn on_main(main: &OnMain) -> String {
    let confirmed = main.confirmed.map_or_else(|| "nothing".into(), |at| at.height.to_string());
    let indexed = main.indexed_in.map(|block| format!(", indexed in block {block}"));
    format!(
        "{}, tracked {}, confirmed {confirmed}, at Grid block {}{}",
        main.status,
        main.tracked.height,
        main.grid_block,
        indexed.unwrap_or_default()
    )
}

fn confirmation(main: &OnMain) -> String {
    let have = main.confirmations.map_or_else(
        || "not on the main chain yet".to_owned(),
        |count| format!("{count} confirmation(s)"),
    );
    match main.more_blocks {
        Some(0) => format!("{have}, confirmed by the rule {}", main.rule),
        Some(more) => {
            format!("{have}, {more} more block(s) by the rule {} as it stands", main.rule)
        }
        None => format!("{have}, rule {}", main.rule),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_begins_with_its_sentence_and_has_every_fact() {
        let hash = format!("0x{}", "07".repeat(32));
        let said: Explanation = serde_json::from_value(json!({
            "id": "eip155:1:105", "summary": "it is parked; retry it.", "place": "parked",
            "needsOperator": true, "runbook": "GridParkedItems", "now": 1_700_000_060_000_u64,
            "chain": "eip155:1", "height": 105, "hash": hash, "sources": ["chain[0].rpc[0]"],
            "item": {
                "key": "eip155:1:100:110:0707", "chain": "eip155:1", "kind": "headers", "stage": "parked",
                "from": 100, "parent": hash, "last": { "height": 110, "hash": hash }, "attempt": 8,
                "nextAt": 0, "reason": "out of gas", "txHash": null, "nonce": null,
                "createdAt": 1_700_000_000_000_u64, "updatedAt": 1_700_000_050_000_u64,
            },
            "lease": null,
            "timeline": [
                { "at": 1_700_000_000_000_u64, "after": 0, "what": "planned", "detail": "headers 100 to 110" },
                { "at": 1_700_000_050_000_u64, "after": 50_000, "what": "parked", "detail": "out of gas" },
            ],
            "transactions": [{
                "hash": hash, "signer": format!("0x{}", "ab".repeat(20)), "nonce": 4, "maxFee": "9",
                "priorityFee": "1", "outcome": "failed", "sends": 2, "sentAt": 1, "createdAt": 1,
                "cost": { "block": 499, "gas": 21_000, "fee": "0x2386f26fc10000" },
            }],
            "main": {
                "gridBlock": 500, "status": "active", "firstHeight": 10,
                "tracked": { "height": 95, "hash": hash }, "confirmed": { "height": 90, "hash": hash },
                "rule": "6 blocks deep", "confirmations": null, "moreBlocks": 15, "indexedIn": null,
            },
            "paused": null,
            "holder": {
                "relayer": "3f2a", "signer": format!("0x{}", "ab".repeat(20)), "here": false,
                "until": 1_700_000_070_000_u64,
            },
        }))
        .unwrap();
        let text = explanation(&said);
        assert!(text.starts_with("it is parked; retry it.\n\n"), "{text}");
        for part in [
            "105 of eip155:1",
            "eip155:1:100:110:0707",
            "failures      8",
            "reason        out of gas",
            "chain[0].rpc[0]",
            "tracked 95, confirmed 90, at Grid block 500",
            "not on the main chain yet, 15 more block(s) by the rule 6 blocks deep",
            "docs/runbooks/GridParkedItems.md",
            "cost          0.01",
            "held by       3f2a with the key 0xABaB",
            "2023-11-14T22:14:10Z",
            "+50 s",
            "failed",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert_eq!(list(&[]), "no items");
        assert!(list(&[said.item.unwrap()]).contains("out of gas"));
    }
}
