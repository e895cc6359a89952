//! The figures of `grid bench relayer`.

use serde::Serialize;

use super::super::{memory::Memory, report::Spread};
use crate::output::table;

/// `grid bench relayer`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct RelayerReport {
    /// Headers a second of all chains together while following.
    pub(super) rate: u64,
    pub(super) block_interval_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<Pending>,
    pub(super) stores: Vec<StoreRow>,
    pub(super) rows: Vec<Row>,
}

/// A relayer whose items cannot go on.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pending {
    pub(super) items: u64,
    pub(super) chains: u64,
    /// From the start until `/readyz` would say yes.
    pub(super) ready_ms: u64,
    /// Of this process: the relayer, and chains of one block.
    pub(super) memory: Memory,
}

/// Items from the plan to the end, through a store alone.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoreRow {
    pub(super) store: &'static str,
    pub(super) items: u64,
    pub(super) seconds: f64,
}

/// One number of chains.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) chains: usize,
    pub(super) backfill: Backfill,
    pub(super) tip: Tip,
    /// Of this process: the relayer, the main chain and the chains.
    pub(super) memory: Memory,
}

/// Catching up.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Backfill {
    pub(super) headers: u64,
    pub(super) items: u64,
    pub(super) seconds: f64,
    pub(super) blocks: u64,
    /// Of the chains' sources.
    pub(super) calls: u64,
}

/// Following.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tip {
    pub(super) headers: u64,
    pub(super) items: u64,
    /// Of the chains' sources.
    pub(super) calls: u64,
    /// Blocks from the newest one when a header was handed in to the one that indexed it.
    pub(super) submit_blocks: Spread,
    /// As above, from when the source had it.
    pub(super) blocks: Spread,
    pub(super) ms: Spread,
}

fn each(calls: u64, headers: u64) -> f64 {
    calls as f64 / headers.max(1) as f64
}

fn a_second(count: u64, seconds: f64) -> String {
    format!("{:.0}", count as f64 / seconds.max(0.001))
}

fn mib(kib: Option<u64>) -> String {
    kib.map_or_else(|| "?".into(), |kib| (kib / 1024).to_string())
}

impl RelayerReport {
    /// For people.
    pub(in super::super) fn text(&self) -> String {
        let parts = [self.waiting(), self.through_stores(), self.through_relayers()];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }

    fn waiting(&self) -> Option<String> {
        let Pending { items, chains, ready_ms, memory } = self.pending.as_ref()?;
        let cells = [
            chains.to_string(),
            items.to_string(),
            ready_ms.to_string(),
            mib(memory.resident_kib),
            mib(memory.peak_kib),
        ];
        let head = ["CHAINS", "ITEMS", "READY AFTER MS", "MIB", "MOST MIB"];
        Some(format!(
            "relayer with items that cannot go on, SQLite\n\n{}",
            table(head, core::iter::once(cells))
        ))
    }

    fn through_stores(&self) -> Option<String> {
        let rows = self.stores.iter().map(|StoreRow { store, items, seconds }| {
            [(*store).to_owned(), items.to_string(), a_second(*items, *seconds)]
        });
        let head = ["STORE", "ITEMS", "ITEMS/S"];
        (!self.stores.is_empty())
            .then(|| format!("store alone, from plan to done\n\n{}", table(head, rows)))
    }

    fn through_relayers(&self) -> Option<String> {
        let backfill = self.rows.iter().map(|row| {
            let Backfill { headers, items, seconds, blocks, calls } = &row.backfill;
            [
                row.chains.to_string(),
                headers.to_string(),
                a_second(*headers, *seconds),
                a_second(*items, *seconds),
                blocks.to_string(),
                format!("{:.4}", each(*calls, *headers)),
            ]
        });
        let tip = self.rows.iter().map(|row| {
            let Tip { headers, items, calls, submit_blocks, blocks, ms } = &row.tip;
            [
                row.chains.to_string(),
                headers.to_string(),
                items.to_string(),
                format!("{} / {}", submit_blocks.p50, submit_blocks.p99),
                format!("{} / {}", blocks.p50, blocks.p99),
                format!("{} / {}", ms.p50, ms.p99),
                format!("{:.2}", each(*calls, *headers)),
                mib(row.memory.resident_kib),
            ]
        });
        let catching_up = ["CHAINS", "HEADERS", "HEADERS/S", "ITEMS/S", "BLOCKS", "CALLS A HEADER"];
        let following = [
            "CHAINS",
            "HEADERS",
            "ITEMS",
            "SUBMITTED TO INDEXED, BLOCKS P50/P99",
            "SOURCE TO INDEXED, BLOCKS",
            "MS",
            "CALLS A HEADER",
            "MIB",
        ];
        (!self.rows.is_empty()).then(|| {
            format!(
                "relayer, main chain of one validator (a block every {} ms) and made-up chains in one process\n\n\
                 catching up\n\n{}\n\nfollowing, {} headers a second together\n\n{}",
                self.block_interval_ms,
                table(catching_up, backfill),
                self.rate,
                table(following, tip),
            )
        })
    }
}
