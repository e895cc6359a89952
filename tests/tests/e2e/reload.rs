//! SIGHUP: what is safe is in force at once, what is not is named, and a wrong file changes nothing.

use grid_test_nodes::{Grid, wait_for};

use crate::world::{BITCOIN_DEPTH, ETHEREUM_DEPTH, LIMIT, World, chain, wait_confirmed, whole_log};

/// Sends SIGHUP and waits until so many lines of the log say a word since the start.
async fn reload(grid: &mut Grid, word: &str, times: usize) {
    grid.process().hang_up().expect("signal");
    let home = grid.config().home.clone();
    wait_for(format!("{word:?} in the log, {times} times"), LIMIT, || async {
        let log = whole_log(&home);
        let found = log.lines().filter(|line| line.contains(word)).count();
        if found >= times { Ok(()) } else { Err(log) }
    })
    .await
    .expect("logged");
}

/// The height that both ends of a chain should reach.
async fn bitcoin_height(world: &World) -> u64 {
    world.chains.bitcoind.tip().await.expect("tip").0 + 1 - BITCOIN_DEPTH
}

#[tokio::test]
async fn settings_change_while_it_runs_and_a_wrong_file_changes_nothing() {
    let mut world = World::start().await;
    world.wait_indexed().await;
    let url = world.chains.bitcoind.url();

    // The endpoint of one chain moves away; the other one does not notice.
    world.home.change_config(|text| text.replace(&url, "http://127.0.0.1:1"));
    reload(&mut world.grid, "127.0.0.1:1\"]", 1).await;
    world.chains.bitcoind.mine(4).await.expect("mine");
    world.chains.anvil.mine(4).await.expect("mine");
    let number = world.chains.anvil.block_number().await.expect("number");
    wait_confirmed(&world.grid, "eip155:", number + 1 - ETHEREUM_DEPTH).await;
    let before = chain(&world.grid, "bip122:").await.expect("chain")["tracked"]["height"].as_u64();
    assert!(before < Some(bitcoin_height(&world).await + BITCOIN_DEPTH - 1), "{before:?}");

    // A wrong file, and settings that need a restart: nothing changes.
    world.home.change_config(|text| format!("{}\n# wrong\ncolour = 1\n", text.trim_end()));
    reload(&mut world.grid, "refused, nothing has changed", 1).await;
    let log = whole_log(&world.home.path());
    assert!(log.contains("colour"), "{log}");
    world.grid.check().expect("it runs on");
    world.home.change_config(|text| {
        let text = text.replace("\n# wrong\ncolour = 1\n", "");
        let text = text.replace("http://127.0.0.1:1\"", &format!("{url}\""));
        text.replace("relayer.db", "other.db").replace("l0 = \"300ms\"", "l0 = \"200ms\"")
    });
    let needs = "relayer.store: \"relayer.db\" -> \"other.db\" (needs a restart, left as it was)";
    reload(&mut world.grid, needs, 1).await;
    let log = whole_log(&world.home.path());
    assert!(log.contains("relayer.poll.l0: \"300ms\" -> \"200ms\""), "{log}");
    wait_confirmed(&world.grid, "bip122:", bitcoin_height(&world).await).await;
    assert!(!world.home.path().join("other.db").exists());

    // A chain goes, and comes back.
    let mut section = String::new();
    world.home.change_config(|text| {
        let at = text.rfind("[[chain]]").expect("a second chain");
        let (rest, last) = text.split_at(at);
        section.push_str(last);
        rest.to_owned()
    });
    assert!(section.contains("eip155:31337"), "{section}");
    reload(&mut world.grid, "chain[eip155:31337].id: \"eip155:31337\" -> nothing", 1).await;
    let gone = chain(&world.grid, "eip155:").await.expect("chain")["tracked"]["height"].as_u64();
    world.chains.anvil.mine(5).await.expect("mine");
    world.chains.bitcoind.mine(1).await.expect("mine");
    wait_confirmed(&world.grid, "bip122:", bitcoin_height(&world).await).await;
    let tracked = chain(&world.grid, "eip155:").await.expect("chain")["tracked"]["height"].as_u64();
    assert!(
        tracked <= gone.map(|height| height + 1),
        "{gone:?} {tracked:?}: nobody brings its headers"
    );
    world.home.change_config(|text| text + &section);
    reload(&mut world.grid, "chain[eip155:31337].id: nothing -> \"eip155:31337\"", 1).await;
    world.wait_indexed().await;
    world.assert_index_is_the_nodes().await;
}
