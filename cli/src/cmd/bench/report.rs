//! The figures of a run.

use std::time::Duration;

use serde::Serialize;

use super::{blocks::Run, memory::Memory, profile::Stages};
use crate::output::table;

/// A distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

impl Spread {
    /// Percentiles by nearest rank; zeros of nothing.
    pub(super) fn of(values: &[u64]) -> Self {
        let mut values = values.to_vec();
        values.sort_unstable();
        let rank = |percent: usize| {
            let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
            values.get(at).copied().unwrap_or(0)
        };
        let sum = values.iter().map(|value| *value as f64).sum::<f64>();
        let mean = sum / values.len().max(1) as f64;
        Self { mean, p50: rank(50), p99: rank(99), max: values.last().copied().unwrap_or(0) }
    }

    fn row(&self, what: &str) -> [String; 5] {
        let Self { mean, p50, p99, max } = self;
        [what.into(), format!("{mean:.1}"), p50.to_string(), p99.to_string(), max.to_string()]
    }
}

/// `grid bench chain`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChainReport {
    chain: String,
    transfers: usize,
    blocks: usize,
    seconds: f64,
    transfers_per_second: f64,
    set_interval_ms: u64,
    interval_ms: Spread,
    latency_ms: Spread,
    latency_blocks: Spread,
    block_bytes: Spread,
    memory: Vec<Memory>,
    stages: Option<Stages>,
}

impl ChainReport {
    pub(super) fn new(
        chain: &str,
        interval: Duration,
        run: &Run,
        memory: Vec<Memory>,
        stages: Option<Stages>,
    ) -> Self {
        let seconds = run.span_ms.1.saturating_sub(run.span_ms.0) as f64 / 1_000.0;
        Self {
            chain: chain.into(),
            transfers: run.transfers,
            blocks: run.bytes.len(),
            seconds,
            transfers_per_second: run.transfers as f64 / seconds.max(0.001),
            set_interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            interval_ms: Spread::of(&run.intervals_ms),
            latency_ms: Spread::of(&run.latency_ms),
            latency_blocks: Spread::of(&run.latency_blocks),
            block_bytes: Spread::of(&run.bytes),
            memory,
            stages,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} transfers in {} blocks and {:.1} s, {:.0} a second\nset interval {} ms\n\n",
            self.chain,
            self.transfers,
            self.blocks,
            self.seconds,
            self.transfers_per_second,
            self.set_interval_ms
        );
        text += &table(
            ["", "MEAN", "P50", "P99", "MAX"],
            [
                self.interval_ms.row("block interval, ms"),
                self.latency_ms.row("offer to final, ms"),
                self.latency_blocks.row("offer to final, blocks"),
                self.block_bytes.row("block, bytes"),
            ],
        );
        for memory in &self.memory {
            text += &memory_line(memory);
        }
        if let Some(stages) = &self.stages {
            text += &stages_text(stages);
        }
        text
    }
}

fn memory_line(memory: &Memory) -> String {
    let mib = |kib: Option<u64>| kib.map_or_else(|| "?".into(), |kib| (kib / 1024).to_string());
    let who = memory.pid.map_or_else(|| "this process".to_owned(), |pid| format!("process {pid}"));
    format!(
        "\n{who}: {} MiB resident, {} MiB at most",
        mib(memory.resident_kib),
        mib(memory.peak_kib)
    )
}

fn stages_text(stages: &Stages) -> String {
    let each = |ms: f64| {
        let transfers = stages.transactions.max(1) as f64;
        let (us, share) = (ms * 1_000.0 / transfers, ms * 100.0 / stages.total_ms().max(0.001));
        [format!("{ms:.1}"), format!("{us:.1}"), format!("{share:.0} %")]
    };
    let rows = [
        ("decode", stages.decode_ms),
        ("recover senders", stages.recover_ms),
        ("execute", stages.execute_ms),
        ("state root", stages.state_root_ms),
        ("other roots", stages.other_roots_ms),
        ("commit", stages.commit_ms),
    ];
    let rows = rows.map(|(name, ms)| {
        let [ms, us, share] = each(ms);
        [name.to_owned(), ms, us, share]
    });
    let speed = stages.real_time_ms as f64 / stages.total_ms().max(0.001);
    format!(
        "\n\nThe same blocks once more, one stage after the other on one processor: {:.0} ms for {} transfers in {} blocks,\n{speed:.1} times as fast as they were made. Into the mempool: {:.0} µs a transfer beside recovery.\n\n{}",
        stages.total_ms(),
        stages.transactions,
        stages.blocks,
        stages.admit_us,
        table(["STAGE", "MS", "µS A TRANSFER", "SHARE"], rows)
    )
}

/// `grid bench chain --empty`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EmptyReport {
    pub(super) seconds: f64,
    pub(super) blocks: u64,
    pub(super) store_bytes: u64,
    /// Height and memory, from time to time.
    pub(super) samples: Vec<(u64, Memory)>,
}

impl EmptyReport {
    /// For people.
    pub(super) fn text(&self) -> String {
        let kib = |kib: Option<u64>| kib.map_or_else(|| "?".into(), |kib| kib.to_string());
        let rows = self.samples.iter().map(|(height, memory)| {
            [height.to_string(), kib(memory.resident_kib), kib(memory.peak_kib)]
        });
        format!(
            "{} blocks without transactions in {:.1} s, {} bytes on disk\n\n{}",
            self.blocks,
            self.seconds,
            self.store_bytes,
            table(["HEIGHT", "RESIDENT KIB", "PEAK KIB"], rows)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = (1..=200).rev().collect::<Vec<u64>>();
        let spread = Spread::of(&values);
        assert_eq!((spread.p50, spread.p99, spread.max), (100, 198, 200));
        assert!((spread.mean - 100.5).abs() < 1e-9);
        assert_eq!(Spread::of(&[7]), Spread { mean: 7.0, p50: 7, p99: 7, max: 7 });
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
