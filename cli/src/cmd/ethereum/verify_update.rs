//! `grid ethereum verify-update`: what files of light-client data are worth, from a trusted block on.

use std::{
    fmt::Write as _,
    fs::File,
    io::Read as _,
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{B256, Bytes};
use eyre::{Result, WrapErr as _, bail};
use grid_adapters::ethereum::beacon::{Kept, StoreFile};
use grid_core::ethereum::sync::{
    Change, NetworkConfig, Policy, SyncClient, SyncData,
    audit::{Audit, Taken},
    file::{self, MAX_FILE_BYTES, Object},
};
use serde::Serialize;

use crate::{args::VerifyUpdateArgs, home::Home, output::Output, sources};

/// What the command prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    network: String,
    /// Safety rules that the caller gave up.
    loosened: Vec<&'static str>,
    objects: Vec<Verdict>,
    /// Where the light client stands at the end.
    client: Option<Position>,
    /// Whether the store was written.
    stored: bool,
}

/// What became of one object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    file: String,
    kind: &'static str,
    /// Slot of the bootstrap's or of the attested header.
    slot: u64,
    /// What it changed; empty for what is valid and brings nothing new.
    changed: Vec<&'static str>,
    /// The rule that refused it.
    refused: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    finalized_slot: u64,
    finalized_root: B256,
    execution_block_hash: B256,
    /// Unix time, seconds.
    finalized_time: u64,
    period: u64,
    next_committee_known: bool,
    /// Proof that the network's finality contradicts itself, which anyone can check.
    conflict: Option<Bytes>,
}

pub(super) fn run(home: &Home, args: &VerifyUpdateArgs, out: Output) -> Result<ExitCode> {
    let network = sources::network(home, &args.network)?.config()?;
    let now = match args.now {
        Some(now) => now,
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .wrap_err("the clock stands before 1970; give --now")?
            .as_secs(),
    };
    let mut policy = Policy::default();
    policy.max_checkpoint_age = args.max_checkpoint_age.unwrap_or(policy.max_checkpoint_age);
    let store = StoreFile::new(args.store.clone());
    let kept = store.load(&network, &policy, now)?;
    let mut audit = start(args, &network, &policy, kept.as_ref())?;

    let mut objects = Vec::new();
    let mut taken = Vec::new();
    for path in &args.files {
        let label = path.display().to_string();
        let read = file::read(&network, &bytes(path)?)
            .wrap_err_with(|| format!("{label} does not hold light-client data"))?;
        for object in read {
            let result = audit.take(&object, now);
            objects.push(Verdict {
                file: label.clone(),
                kind: kind(&object),
                slot: object.slot(),
                changed: result.as_ref().map(changed).unwrap_or_default(),
                refused: result.as_ref().err().map(ToString::to_string),
            });
            if result.is_ok() {
                taken.push(object);
            }
        }
    }
    let loosened = policy.loosened();
    let refused = objects.iter().any(|verdict| verdict.refused.is_some());
    let client = audit.client().map(|client| position(&network, client));
    let stored = !args.dry_run && client.is_some();
    let report = Report { network: network.name, loosened, objects, client, stored };
    if stored && let Some((client, checkpoint)) = audit.into_client() {
        store.save(&keep(kept, client, checkpoint, taken))?;
    }
    out.show(&report, people)?;
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Goes on with the stored client, or waits for the bootstrap of the checkpoint.
fn start(
    args: &VerifyUpdateArgs,
    network: &NetworkConfig,
    policy: &Policy,
    kept: Option<&Kept>,
) -> Result<Audit> {
    let store = args.store.display();
    match (kept, args.checkpoint) {
        (Some(kept), Some(checkpoint)) if kept.checkpoint != checkpoint => bail!(
            "{store} started from {}, not from {checkpoint}; give another --store",
            kept.checkpoint
        ),
        (Some(kept), _) => Ok(Audit::resume(kept.client.clone(), kept.checkpoint)),
        (None, Some(checkpoint)) => {
            Ok(Audit::new(network.clone(), policy.clone(), Some(checkpoint)))
        }
        (None, None) => {
            bail!("{store} does not exist yet; give --checkpoint, the block root that you trust")
        }
    }
}

/// The client with the history of what it took, before and now.
fn keep(kept: Option<Kept>, client: SyncClient, checkpoint: B256, taken: Vec<Object>) -> Kept {
    let mut kept = match kept {
        Some(mut kept) => {
            kept.client = client;
            kept
        }
        None => Kept::new(checkpoint, client),
    };
    for object in taken {
        match object {
            Object::Update(update) => kept.note(SyncData::Update(update)),
            Object::FinalityUpdate(update) => kept.note(SyncData::FinalityUpdate(update)),
            _ => {}
        }
    }
    kept
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_FILE_BYTES)?;
    let file = File::open(path).wrap_err_with(|| format!("cannot read {shown}"))?;
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .wrap_err_with(|| format!("cannot read {shown}"))?;
    Ok(bytes)
}

const fn kind(object: &Object) -> &'static str {
    match object {
        Object::Bootstrap(_) => "bootstrap",
        Object::Update(_) => "update",
        Object::FinalityUpdate(_) => "finality update",
        Object::OptimisticUpdate(_) => "optimistic update",
    }
}

fn changed(taken: &Taken) -> Vec<&'static str> {
    let Change { finalized, optimistic, learned_committee, rotated } = match taken {
        Taken::Started => return vec!["started"],
        Taken::Bootstrap => return Vec::new(),
        Taken::Update(change) => *change,
    };
    [
        (finalized, "new finalized header"),
        (optimistic, "new optimistic header"),
        (rotated, "new period"),
        (learned_committee, "next committee learned"),
    ]
    .into_iter()
    .filter_map(|(changed, what)| changed.then_some(what))
    .collect()
}

fn position(network: &NetworkConfig, client: &SyncClient) -> Position {
    // What a conflict freezes is shown all the same: the report says so beside it.
    let header = client.finalized().unwrap_or_else(|_| client.store().finalized_header());
    let slot = header.beacon.slot;
    Position {
        finalized_slot: slot,
        finalized_root: header.beacon.root(),
        execution_block_hash: header.execution_block_hash,
        finalized_time: network.time_of(slot),
        period: network.preset.period(slot),
        next_committee_known: client.store().next_sync_committee().is_some(),
        conflict: client.conflict().map(|conflict| conflict.encode(network).into()),
    }
}

fn people(report: &Report) -> String {
    let mut text = String::new();
    for verdict in &report.objects {
        let result = match &verdict.refused {
            Some(reason) => format!("REFUSED: {reason}"),
            None if verdict.changed.is_empty() => "valid, nothing new".into(),
            None => format!("valid: {}", verdict.changed.join(", ")),
        };
        let _ =
            writeln!(text, "{} slot {} ({}): {result}", verdict.kind, verdict.slot, verdict.file);
    }
    match &report.client {
        Some(at) => {
            let next = if at.next_committee_known { "known" } else { "not known" };
            let _ = writeln!(
                text,
                "{}: finalized slot {}, block {}\n  execution block {}\n  period {}, next committee {next}",
                report.network,
                at.finalized_slot,
                at.finalized_root,
                at.execution_block_hash,
                at.period
            );
            if at.conflict.is_some() {
                text.push_str("CONFLICTING FINALITY: --json prints the evidence\n");
            }
        }
        None => text.push_str("nothing to start from: no file holds the checkpoint's bootstrap\n"),
    }
    for rule in &report.loosened {
        let _ = writeln!(text, "LOOSENED {rule}: the result is only as good as who kept the files");
    }
    if !report.stored {
        text.push_str("the store was not written\n");
    }
    text
}
