//! `grid doctor` names everything that is wrong at once, and nothing that is right.

use std::{collections::BTreeSet, net::TcpListener, os::unix::fs::PermissionsExt as _};

use grid_test_nodes::{Grid, NodeError};
use serde_json::Value;

use crate::world::{Chains, Home, wait_confirmed};

/// The report and whether there were problems.
async fn doctor(home: &Home, arguments: &[&str]) -> (Value, bool) {
    let mut line = vec!["doctor", "--json"];
    line.extend(arguments);
    let (text, failed) = match home.run(&line).await {
        Ok(text) => (text, false),
        Err(NodeError::Command { output, status, .. }) => (output, status.contains(": 2")),
        Err(error) => panic!("{error}"),
    };
    let report = serde_json::Deserializer::from_str(&text).into_iter::<Value>().next();
    (report.expect("a report").unwrap_or_else(|error| panic!("{error}: {text}")), failed)
}

/// Check and path of the findings of a severity.
fn named(report: &Value, severity: &str) -> BTreeSet<(String, String)> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("text").to_owned();
    findings
        .filter(|finding| finding["severity"] == severity)
        .map(|finding| (text(finding, "check"), text(finding, "path")))
        .collect()
}

/// The words of one finding.
fn words(report: &Value, check: &str, path: &str) -> String {
    let findings = report["findings"].as_array().expect("findings").iter();
    let of = |finding: &&Value| finding["check"] == check && finding["path"] == path;
    findings.filter(of).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_sound_home_has_no_problem_before_the_start_and_while_it_runs() {
    let chains = Chains::start().await;
    let home = Home::new();
    home.init(&chains.arguments()).await.expect("init");
    let (report, failed) = doctor(&home, &[]).await;
    assert!(!failed && report["problems"] == 0, "{report:#}");
    let endpoint = |n: usize| (String::from("endpoint"), format!("chain[{n}].rpc[0]"));
    let good = named(&report, "good");
    assert!(good.contains(&endpoint(0)) && good.contains(&endpoint(1)), "{report:#}");

    let grid = Grid::start(home.config()).await.expect("start");
    wait_confirmed(&grid, "bip122:", 1).await;
    let (report, failed) = doctor(&home, &[]).await;
    assert!(!failed && report["problems"] == 0, "{report:#}");
    let found = words(&report, "port", "relayer.listen");
    assert!(found.contains("by the running daemon"), "{report:#}");
    for check in ["wallet", "main chain", "registration"] {
        assert!(
            named(&report, "good").iter().any(|(name, _)| name == check),
            "{check}: {report:#}"
        );
    }
}

#[tokio::test]
async fn many_faults_are_all_named_at_once_with_the_place_and_the_fix() {
    let chains = Chains::start().await;
    let home = Home::new();
    home.init(&chains.arguments()).await.expect("init");
    // It takes connections and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("address");
    let bitcoind = chains.bitcoind.url();
    let anvil = chains.anvil.url();
    let hanging = format!("http://{}", silent.local_addr().expect("address"));
    let cookie = chains.bitcoind.cookie_file().display().to_string();
    std::fs::write(home.path().join("keys/password"), "wrong").expect("password");
    std::fs::write(home.path().join("relayer.db"), "no database ".repeat(100)).expect("file");
    std::fs::write(home.path().join("login"), "wrong").expect("login");
    home.change_config(|text| {
        let head = text.split("[[chain]]").next().unwrap_or_default();
        format!(
            "{head}\
             [[chain]]\nid = \"bip122:000000000019d6689c085ae165831e93\"\nkind = \"bitcoin\"\n\
             network = \"mainnet\"\nrpc = [\"{bitcoind}\"]\ncookie_file = \"{cookie}\"\n\
             [[chain]]\nid = \"bip122:0f9188f13cb7b2c71f2a335e3a4fc328\"\nkind = \"bitcoin\"\n\
             network = \"regtest\"\nrpc = [\"{bitcoind}\", \"http://127.0.0.1:1\", \"{anvil}\"]\nuser = \"grid\"\n\
             rpc_password_file = \"login\"\n\
             [[chain]]\nid = \"eip155:1\"\nkind = \"ethereum\"\nrpc = [\"{anvil}\"]\n\
             [[chain]]\nid = \"eip155:31337\"\nkind = \"ethereum\"\n\
             rpc = [\"{hanging}\", \"{bitcoind}\", \"{anvil}\"]\nagree = 3\n"
        )
    });
    let administers = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("relayer.listen={address}");
    let admin = format!("relayer.admin.listen={}", administers.local_addr().expect("address"));
    let token = home.path().join("keys/admin-token");
    std::fs::set_permissions(token, std::fs::Permissions::from_mode(0o644)).expect("mode");
    let tokens = "relayer.attest_tokens=[\"keys/nobody.token\"]";
    let (report, failed) =
        doctor(&home, &["--daemon", "relayer", "--set", &listen, "--set", &admin, "--set", tokens])
            .await;
    assert!(failed, "{report:#}");
    let expected = [
        ("database", "relayer.store"),
        ("endpoint", "chain[0].rpc[0]"),
        ("endpoint", "chain[1].rpc[0]"),
        ("endpoint", "chain[1].rpc[1]"),
        ("endpoint", "chain[1].rpc[2]"),
        ("endpoint", "chain[2].rpc[0]"),
        ("endpoint", "chain[3].rpc[0]"),
        ("endpoint", "chain[3].rpc[1]"),
        ("key", "relayer.key"),
        ("main chain", "relayer.main_chain"),
        ("permissions", "relayer.admin.token_file"),
        ("port", "relayer.admin.listen"),
        ("port", "relayer.listen"),
        ("token", "relayer.attest_tokens[0]"),
    ];
    let expected = expected.map(|(check, path)| (check.to_owned(), path.to_owned()));
    assert_eq!(named(&report, "problem"), BTreeSet::from(expected), "{report:#}");
    for (check, path, word) in [
        ("endpoint", "chain[0].rpc[0]", "regtest"),
        ("endpoint", "chain[1].rpc[0]", "rpc_password_file"),
        ("endpoint", "chain[1].rpc[1]", "start the node"),
        ("endpoint", "chain[1].rpc[2]", "getblockchaininfo"),
        ("endpoint", "chain[2].rpc[0]", "31337"),
        ("endpoint", "chain[3].rpc[0]", "hangs"),
        ("endpoint", "chain[3].rpc[1]", "eth_chainId"),
        ("key", "relayer.key", "wrong password"),
        ("database", "relayer.store", "not a database"),
    ] {
        let found = words(&report, check, path);
        assert!(found.contains(word), "{check} {path}: {word} is missing in {found}");
    }
    let text = report.to_string();
    assert!(!text.contains("\"wrong\""), "no secret is shown: {text}");
    assert!(named(&report, "good").contains(&("endpoint".into(), "chain[3].rpc[2]".into())));
}
