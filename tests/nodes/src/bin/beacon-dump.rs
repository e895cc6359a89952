//! Writes a run of the simulated beacon chain into a folder, for the official executable spec to judge
//! (`scripts/check-beacon-sim`): a chain of the minimal preset through every fork, its bootstrap and
//! updates as SSZ, and copies with faults that must be refused.

use std::{path::Path, process::ExitCode};

use alloy_primitives::B256;
use grid_core::ethereum::sync::{Preset, payload::ExecutionPayloadHeader};
use grid_test_nodes::beacon::{Chain, ChainConfig, Fault, data::Update, network, tree};
use serde_json::{Value, json};

/// Epochs at which the forks from Altair to Gloas begin: one in nearly every period.
const FORKS: [u64; 7] = [0, 4, 8, 16, 24, 32, 40];
/// The last slot.
const LAST: u64 = 7 * 64 + 40;
/// Faults that a light client must see in any update.
const FAULTS: [Fault; 10] = [
    Fault::Participation(0),
    Fault::SwappedCommittee,
    Fault::ForkVersion,
    Fault::OtherGenesis,
    Fault::SwappedBranches,
    Fault::DeepBranches,
    Fault::ShallowBranches,
    Fault::EditedExecution,
    Fault::Signature,
    Fault::Future(10_000),
];

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: beacon-dump FOLDER");
        return ExitCode::from(2);
    };
    match dump(Path::new(&folder)) {
        Ok(steps) => {
            println!("beacon-dump: {steps} steps");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("beacon-dump: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The steps so far, and where their files are.
struct Steps<'a> {
    folder: &'a Path,
    chain: &'a Chain,
    steps: Vec<Value>,
}

impl Steps<'_> {
    /// Adds an object with what becomes of it.
    fn add(
        &mut self,
        kind: &str,
        version: &str,
        ssz: &[u8],
        fault: Option<Fault>,
        after: Option<B256>,
    ) -> std::io::Result<()> {
        let file = format!("{:03}-{kind}.ssz", self.steps.len());
        std::fs::write(self.folder.join(&file), ssz)?;
        let fault = fault.map(|fault| format!("{fault:?}"));
        self.steps.push(json!({ "file": file, "kind": kind, "version": version,
            "fault": fault, "finalized": after }));
        Ok(())
    }

    /// An update with every fault, and then as it is.
    fn update(&mut self, update: &Update) -> std::io::Result<()> {
        let version = tree::name(update.version());
        let has_committee = update.next.is_some();
        for fault in FAULTS {
            // Without a committee there is none to swap; before Capella there is no execution block.
            let foreign = match fault {
                Fault::SwappedCommittee => !has_committee,
                Fault::EditedExecution => update.attested.payload.block_hash.is_zero(),
                _ => false,
            };
            if !foreign {
                let mut faulty = update.clone();
                fault.apply(self.chain, &mut faulty);
                self.add("update", version, faulty.value().ssz(), Some(fault), None)?;
            }
        }
        let final_root = self.chain.by_root(&update.finalized.beacon.root()).map(|b| b.root);
        self.add("update", version, update.value().ssz(), None, final_root)
    }
}

fn dump(folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let network = network::with_forks(Preset::MINIMAL, 0, &FORKS);
    let mut chain = Chain::new(ChainConfig { network: network.clone(), finality_lag: 2, seed: 9 });
    for slot in 0..=LAST {
        chain.add(slot, execution(slot));
    }
    let mut steps = Steps { folder, chain: &chain, steps: Vec::new() };
    let root = chain.block(9).map(|block| block.root).unwrap_or_default();
    if let Some(bootstrap) = chain.bootstrap(&root) {
        let version = tree::name(bootstrap.version());
        steps.add("bootstrap", version, bootstrap.value().ssz(), None, Some(root))?;
    }
    for period in 0..=7 {
        if let Some(update) = chain.best_update(period) {
            steps.update(&update)?;
        }
        // One more in the middle of the period, which is not the best.
        if let Some(update) = chain.update(period * 64 + 35) {
            steps.update(&update)?;
        }
    }
    let count = steps.steps.len();
    let run = json!({
        "now": LAST,
        "genesisValidatorsRoot": network.genesis_validators_root,
        "genesisForkVersion": network.genesis_fork_version,
        "forks": network.forks,
        "steps": steps.steps,
    });
    std::fs::write(folder.join("run.json"), format!("{run:#}"))?;
    Ok(count)
}

/// An execution block made up from a number.
fn execution(number: u64) -> ExecutionPayloadHeader {
    let hash = |number: u64| B256::from(alloy_primitives::U256::from(number + 1));
    ExecutionPayloadHeader {
        parent_hash: hash(number.saturating_sub(1)),
        block_number: number,
        block_hash: hash(number),
        timestamp: number,
        extra_data: vec![7; usize::try_from(number % 33).unwrap_or_default()].into(),
        base_fee_per_gas: alloy_primitives::U256::from(number) << 70,
        ..ExecutionPayloadHeader::default()
    }
}
