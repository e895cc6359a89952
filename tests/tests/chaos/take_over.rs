//! Two relayers on one PostgreSQL: one dies, the other takes its chains over within a lease.

use std::time::{Duration, Instant};

use grid_test_nodes::{NodeError, wait_for};

use crate::{
    check::Checker,
    relayer::{LEASE, Setup},
    world::{Chain, World},
};

/// How long anything may take that takes seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(90);
/// What is between the end of a lease and an indexed header: a look at both ends, two transactions one after the other, some
/// Grid blocks, and a busy machine.
const WORK: Duration = Duration::from_secs(30);

/// Waits until everything is indexed and every relayer that runs has nothing left to do.
async fn rest(world: &World) -> Result<(), NodeError> {
    wait_for("rest", LIMIT, async || Checker::at_rest(world).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_dies_and_the_other_takes_over_within_a_lease() {
    let mut world = World::start().await.unwrap_or_else(|error| panic!("{error}"));
    let Some(server) = &world.postgres else {
        return;
    };
    let url = server.database().expect("a database");
    for name in ["first", "second"] {
        let store = Some(url.clone());
        world.add(Setup { name, key: "relayer", store, ..Setup::default() }).await.expect("a home");
    }
    for relayer in &mut world.relayers {
        relayer.start().expect("start");
    }
    rest(&world).await.unwrap_or_else(|error| panic!("{error}"));
    for victim in 0..2 {
        world.relayers[victim].kill().expect("kill");
        let dead = world.relayers.remove(victim);
        let began = Instant::now();
        for chain in Chain::ALL {
            world.mine(chain, chain.depth() + 2).await.expect("mine");
        }
        rest(&world).await.unwrap_or_else(|error| panic!("{error}"));
        let took = began.elapsed();
        println!("took over the work of {} within {took:.1?}, lease {LEASE:?}", dead.name);
        assert!(took < LEASE + WORK, "{took:?}");
        world.relayers.insert(victim, dead);
        world.relayers[victim].start().expect("start");
        rest(&world).await.unwrap_or_else(|error| panic!("{error}"));
    }
    Checker::default().index(&world).await.unwrap_or_else(|error| panic!("{error}"));
}
