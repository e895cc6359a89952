//! Relayers under everything that goes wrong in production, at once: `kill -9` at random moments, endpoints that lie,
//! throttle and hang, a network that is cut, a full disk, a database that is killed, reorganisations of both chains. Real
//! bitcoind, anvil, PostgreSQL and `grid` processes.
//!
//! Whatever happened, at the end every confirmed header of both chains is in the main chain's index once, no nonce is
//! missing, no item is parked, and nobody would be woken.
//!
//! The events are drawn from a seed, always the same one unless `GRID_CHAOS_SEED` names another. The normal run has each
//! kind of trouble once; `GRID_CHAOS_KILLS` and `GRID_CHAOS_MINUTES` make it longer (`scripts/chaos-relayer`).

mod alerts;
mod check;
mod deck;
mod relayer;
mod settings;
mod storm;
mod take_over;
mod world;

use grid_test_nodes::{NodeError, Postgres};

use relayer::Setup;
use settings::Settings;
use storm::Storm;
use world::World;

/// Two relayers that share a database, and one with a key and a file of its own on a disk that can be filled.
async fn world() -> Result<World, NodeError> {
    let mut world = World::start().await?;
    let store = world.postgres.as_ref().map(Postgres::database).transpose()?;
    let shared = Setup { name: "first", key: "relayer", store, ..Setup::default() };
    let second = shared.store.clone().map(|url| Setup {
        name: "second",
        key: "relayer",
        store: Some(url),
        ..Setup::default()
    });
    world.add(shared).await?;
    if let Some(second) = second {
        world.add(second).await?;
    }
    let disk = world::disk().await;
    world.add(Setup { name: "alone", key: "user", disk, bitcoin_only: true, store: None }).await?;
    Ok(world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_kills_lies_cuts_and_reorganisations_loses_no_header() {
    let settings = Settings::read();
    println!("{settings}");
    let world = world().await.unwrap_or_else(|error| panic!("{error}"));
    match Storm::new(world, &settings).run().await {
        Ok(summary) => println!("{summary}"),
        Err(error) => panic!("{error}\nto repeat: {settings}"),
    }
}
