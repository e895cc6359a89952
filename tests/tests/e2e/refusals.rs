//! Wrong configurations and missing nodes: a message that names the thing, and what works goes on.

use std::{net::TcpListener, time::Duration};

use grid_test_nodes::{Anvil, AnvilConfig, Bitcoind, BitcoindConfig, Grid, Token, wait_for};

use crate::world::{Chains, Home, LIMIT, chain, wait_confirmed, whole_log};

/// Waits until the daemon's log has all the words in one line.
async fn wait_logged(home: &Home, words: &[&str]) {
    let path = home.path();
    wait_for(format!("a line with {words:?}"), LIMIT, || async {
        let log = whole_log(&path);
        let found = log.lines().any(|line| {
            let line = line.to_lowercase();
            words.iter().all(|word| line.contains(&word.to_lowercase()))
        });
        if found { Ok(()) } else { Err(log) }
    })
    .await
    .expect("logged");
}

#[tokio::test]
async fn a_wrong_password_is_named_and_the_other_chain_goes_on() {
    let login = Some((String::from("alice"), String::from("right")));
    let bitcoind = Bitcoind::start(BitcoindConfig { login, ..BitcoindConfig::default() });
    let (bitcoind, anvil) = tokio::join!(bitcoind, Anvil::start(AnvilConfig::default()));
    let (bitcoind, anvil) = (bitcoind.expect("bitcoind"), anvil.expect("anvil"));
    Token::deploy(&anvil).await.expect("token");
    anvil.mine(5).await.expect("mine");
    let home = Home::new();
    let password = home.beside("password");
    let arguments = |chains: &[&str]| chains.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
    let (url, file) = (format!("regtest={}", bitcoind.url()), password.display().to_string());
    let arguments = arguments(&[
        "--bitcoin",
        &url,
        "--bitcoin-user",
        "alice",
        "--bitcoin-password-file",
        &file,
        "--ethereum",
        &anvil.url(),
    ]);
    std::fs::write(&password, "wrong\n").expect("write");
    let error = home.init(&arguments).await.expect_err("the password is wrong").to_string();
    let lower = error.to_lowercase();
    assert!(lower.contains("password") || lower.contains("401"), "{error}");
    assert!(
        !error.contains("wrong\n") && !error.contains("\"wrong\""),
        "no secret is shown: {error}"
    );

    std::fs::write(&password, "right\n").expect("write");
    home.init(&arguments).await.expect("init");
    std::fs::write(&password, "wrong\n").expect("write");
    let grid = Grid::start(home.config()).await.expect("it runs nevertheless");
    wait_logged(&home, &["password"]).await;
    wait_confirmed(&grid, "eip155:", 3).await;
    let bitcoin = chain(&grid, "bip122:").await.expect("chain");
    assert_eq!(bitcoin["tracked"]["height"], 0, "{bitcoin}");
}

#[tokio::test]
async fn a_node_of_another_network_is_refused() {
    let chains = Chains::start().await;
    let home = Home::new();
    let error = home
        .init(&chains.bitcoin_arguments("mainnet"))
        .await
        .expect_err("a regtest node is not mainnet")
        .to_string();
    assert!(error.contains("mainnet") || error.contains("main"), "{error}");
    assert!(error.contains("regtest") || error.contains("genesis"), "{error}");
    assert!(!home.path().join("grid.toml").exists(), "nothing half made is left");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let chains = Chains::start().await;
    let home = Home::new();
    home.init(&chains.arguments()).await.expect("init");
    let taken = TcpListener::bind(("127.0.0.1", home.rpc_port())).expect("bind");
    let mut process = Grid::spawn(&home.config()).expect("spawn");
    let status = process.wait(Duration::from_secs(60)).await.expect("it ends");
    assert!(!status.success());
    let log = whole_log(&home.path());
    assert!(log.contains("node.rpc"), "{log}");
    assert!(log.contains(&home.rpc_port().to_string()), "{log}");
    drop(taken);
    Grid::start(home.config()).await.expect("it starts when the port is free");
}

#[tokio::test]
async fn an_unknown_key_is_named_with_every_other_fault() {
    let chains = Chains::start().await;
    let home = Home::new();
    home.init(&chains.arguments()).await.expect("init");
    let file = home.path().join("grid.toml");
    let text = std::fs::read_to_string(&file).expect("read");
    let changed = text.replacen("[node]", "[node]\nblock_intervall = \"1s\"", 1);
    let changed = changed.replacen("[relayer]", "[relayer]\nlisten_on = \"here\"", 1);
    assert_ne!(text, changed);
    std::fs::write(&file, changed).expect("write");
    let error = home.run(&["config", "check"]).await.expect_err("two faults").to_string();
    assert!(error.contains("block_intervall") && error.contains("listen_on"), "{error}");
}

#[tokio::test]
async fn a_node_that_stops_answering_holds_up_only_its_own_chain() {
    let mut chains = Chains::start().await;
    let home = Home::new();
    home.init(&chains.arguments()).await.expect("init");
    let grid = Grid::start(home.config()).await.expect("start");
    wait_confirmed(&grid, "bip122:", 1).await;
    // It keeps its connections and says nothing.
    chains.bitcoind.process().pause().expect("pause");
    chains.anvil.mine(10).await.expect("mine");
    let number = chains.anvil.block_number().await.expect("number");
    wait_confirmed(&grid, "eip155:", number - 1).await;
    chains.bitcoind.process().resume().expect("resume");
    chains.bitcoind.mine(5).await.expect("mine");
    let (height, _) = chains.bitcoind.tip().await.expect("tip");
    wait_confirmed(&grid, "bip122:", height - 2).await;
    // Gone, and back again.
    chains.anvil.process().kill().expect("kill");
    chains.bitcoind.mine(5).await.expect("mine");
    wait_confirmed(&grid, "bip122:", height + 3).await;
}

#[tokio::test]
async fn what_cannot_be_proven_is_said_with_the_reason() {
    let chains = Chains::start().await;
    let home = Home::new();
    home.init(&chains.arguments()).await.expect("init");
    let grid = Grid::start(home.config()).await.expect("start");
    wait_confirmed(&grid, "bip122:", 1).await;
    let txid = chains.payment().await;
    let error = home.run(&["prove", "btc-tx", &txid]).await.expect_err("unconfirmed").to_string();
    assert!(error.contains("confirmed"), "{error}");
    let nothing = "00".repeat(32);
    let error = home.run(&["prove", "btc-tx", &nothing]).await.expect_err("no such").to_string();
    assert!(error.contains(&nothing), "{error}");
    let error = home.run(&["headers", "eip155:99"]).await.expect_err("another chain").to_string();
    assert!(error.contains("eip155:99"), "{error}");
}

#[tokio::test]
async fn a_header_below_the_start_of_the_index_is_said_to_be_there() {
    let chains = Chains::start().await;
    chains.anvil.mine(10).await.expect("mine");
    let home = Home::new();
    let mut arguments = chains.ethereum_arguments();
    arguments.extend(["--ethereum-start", "6"].map(str::to_owned));
    home.init(&arguments).await.expect("init");
    let grid = Grid::start(home.config()).await.expect("start");
    wait_confirmed(&grid, "eip155:", 8).await;
    let prove = async |height: &str| home.run(&["prove", "header", "eip155:31337", height]).await;
    let error = prove("5").await.expect_err("below").to_string();
    assert!(error.contains("below the start") && error.contains('6'), "{error}");
    let error = prove("1000000").await.expect_err("not there yet").to_string();
    assert!(error.contains("confirmed"), "{error}");
    prove("7").await.expect("between them");
}
