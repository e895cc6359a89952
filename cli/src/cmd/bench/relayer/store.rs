//! The relayer's store alone: items from the plan to the end, in batches.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, Bytes, keccak256};
use eyre::{Result, WrapErr as _, ensure};
use grid_core::{ChainId, api::BlockRef};
use grid_relayer::{
    Store,
    clock::now_ms,
    store::{Inclusion, Kind, NewItem, NewTransaction, PostgresConfig, StoreLocation},
};

use super::report::StoreRow;
use crate::args::BenchRelayerArgs;

/// Items of a batch: what is under way at a time in a busy relayer.
const BATCH: u64 = 512;
/// Call data of a header at the tip of an Ethereum chain.
const PAYLOAD: usize = 700;
/// Chains of a number that no other part of the benchmark uses, and no other run on the same database.
const FIRST_CHAIN: u64 = 8_000_000_000;

const LEASE: Duration = Duration::from_secs(600);

/// A file in the folder, and the server where one is given.
pub(super) async fn run(args: &BenchRelayerArgs, folder: &Path) -> Result<Vec<StoreRow>> {
    let mut rows = Vec::new();
    if args.items > 0 {
        let file = folder.join("items.db");
        rows.push(measure("SQLite", &file.into(), args.items).await?);
    }
    if let (Some(url), 1..) = (&args.postgres, args.items) {
        let server = StoreLocation::Postgres(PostgresConfig::new(url, None)?);
        rows.push(measure("PostgreSQL", &server, args.items).await?);
    }
    Ok(rows)
}

async fn measure(name: &'static str, location: &StoreLocation, items: u64) -> Result<StoreRow> {
    let store = Store::open(location).await.wrap_err_with(|| format!("cannot open {location}"))?;
    let chain = ChainId::eip155(FIRST_CHAIN + now_ms());
    let signer = Address::from_word(keccak256(chain.to_string()));
    let started = Instant::now();
    for first in (0..items).step_by(usize::try_from(BATCH)?) {
        pass(&store, &chain, signer, first, BATCH.min(items - first)).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    store.close().await;
    Ok(StoreRow { store: name, items, seconds })
}

/// Takes items with heights from `first` on through every stage.
async fn pass(
    store: &Store,
    chain: &ChainId,
    signer: Address,
    first: u64,
    count: u64,
) -> Result<()> {
    let (now, heights) = (now_ms(), first..first + count);
    let items: Vec<_> = heights.clone().map(|height| item(chain, height)).collect();
    store.plan_all(&items, now, LEASE).await?;
    store.hold_chain("bench", chain, now, LEASE, Duration::ZERO).await?;
    let claims = store.claim("bench", chain, u32::try_from(count)?, now, LEASE).await?;
    ensure!(claims.len() == items.len(), "{} of {count} items claimed", claims.len());
    let new: Vec<_> = heights.map(|nonce| transaction(signer, nonce)).collect();
    let rows: Vec<_> = claims.iter().map(Some).zip(&new).collect();
    store.record_transactions(&rows, now).await?;
    store.sent(&new.iter().map(|new| new.hash).collect::<Vec<_>>(), now).await?;
    let live = store.live(&signer).await?;
    let included: Vec<_> = live
        .iter()
        .zip(&new)
        .map(|(live, new)| Inclusion { live, hash: new.hash, block: first })
        .collect();
    store.settle_all_included(&signer, &included, now).await?;
    let done = store.finish(chain, first + count - 1, now).await?;
    ensure!(done == count, "{done} of {count} items finished");
    Ok(())
}

/// An item of one header, as far as a store can tell.
pub(super) fn item(chain: &ChainId, height: u64) -> NewItem {
    let hash = |height: u64| keccak256(height.to_be_bytes());
    NewItem {
        kind: Kind::Headers,
        chain: chain.clone(),
        from: height,
        parent: hash(height.wrapping_sub(1)),
        last: BlockRef { height, hash: hash(height) },
        payload: Bytes::from(vec![7; PAYLOAD]),
    }
}

fn transaction(signer: Address, nonce: u64) -> NewTransaction {
    let raw = [signer.as_slice(), &nonce.to_be_bytes(), &[2; PAYLOAD]].concat();
    NewTransaction {
        hash: keccak256(&raw),
        signer,
        nonce,
        raw: raw.into(),
        max_fee: 1_000,
        priority_fee: 1,
    }
}
