use std::io::Write as _;

use super::*;

fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let overrides = Overrides { environment, flags: Vec::new() };
    load(file.path(), &overrides).map(|loaded| loaded.config)
}

fn faults(result: Result<Config, ConfigError>) -> Vec<String> {
    match result {
        Err(ConfigError::Faults { faults, .. }) => faults.into_iter().map(|f| f.path).collect(),
        other => panic!("expected faults, found {other:?}"),
    }
}

#[test]
fn an_empty_file_is_the_defaults_and_defaults_round_trip() {
    let config = load_text("", &[]).unwrap();
    assert_eq!(config, Config::default());
    let text = toml::to_string_pretty(&config).unwrap();
    assert_eq!(load_text(&text, &[]).unwrap(), config);
}

#[test]
fn all_faults_are_named_at_once_with_their_paths() {
    let text = r#"
        colour = "red"
        [node]
        rpc = "nowhere"
        blocktime = "1s"
        [relayer]
        main_chain = "ftp://x"
        [relayer.admin]
        listen = "127.0.0.1:9640"
        token_file = "keys/admin-token"
        [[chain]]
        id = "eip155:1"
        kind = "ethereum"
        rpc = ["http://user:pw@127.0.0.1:1"]
        follow = "yesterday"
        [[chain]]
        id = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328"
        kind = "bitcoin"
        network = "mars"
        rpc = []
        [[chain]]
        id = "bip122:000000000019d6689c085ae165831e93"
        kind = "bitcoin"
        network = "mainnet"
        agree = 5
        [[chain.source]]
        kind = "rpc"
        url = "127.0.0.1:8332"
        cookie_file = "a"
        user = "b"
        [[chain.source]]
        kind = "esplora"
        url = "http://"
        [[chain.source]]
        kind = "import"
        file = ""
        [[chain.source]]
        kind = "p2p"
        peers = ["good.example", "http://bad"]
        max_peers = 0
    "#;
    let mut found = faults(load_text(text, &[]));
    found.sort();
    assert_eq!(
        found,
        [
            "chain[0].follow",
            "chain[0].rpc[0]",
            "chain[1].network",
            "chain[1].rpc",
            "chain[2].agree",
            "chain[2].source[0].cookie_file",
            "chain[2].source[0].url",
            "chain[2].source[0].user",
            "chain[2].source[1].url",
            "chain[2].source[2].file",
            "chain[2].source[3].max_peers",
            "chain[2].source[3].peers[1]",
            "colour",
            "node.blocktime",
            "node.rpc",
            "relayer.admin.listen",
            "relayer.main_chain",
        ]
    );
}

#[test]
fn a_name_is_short_and_has_no_surprises() {
    let named = |name: &str| load_text(&format!("[relayer]\nname = {name:?}\n"), &[]);
    assert_eq!(named("berlin-1").unwrap().relayer.name.as_deref(), Some("berlin-1"));
    for bad in ["", "a b", "a#1", "\n", &"a".repeat(33)] {
        assert_eq!(faults(named(bad)), ["relayer.name"], "{bad:?}");
    }
}

#[test]
fn a_missing_value_is_named() {
    let text = "[[chain]]\nid = \"eip155:1\"\nrpc = []\n";
    let Err(error) = load_text(text, &[]) else { panic!("must be refused") };
    assert!(error.to_string().contains("missing field `kind`"), "{error}");
}

#[test]
fn sources_of_every_kind_are_read_and_unknown_ones_are_named() {
    let head = "[[chain]]\nid = \"bip122:0f9188f13cb7b2c71f2a335e3a4fc328\"\nkind = \"bitcoin\"\n\
                network = \"regtest\"\nagree = 2\n";
    let text = format!(
        "{head}[[chain.source]]\nkind = \"rpc\"\nurl = \"http://127.0.0.1:1\"\n\
         [[chain.source]]\nkind = \"esplora\"\nurl = \"https://esplora.example/api\"\n\
         [[chain.source]]\nkind = \"import\"\nfile = \"headers.bin\"\nstart_height = 2016\n\
         [[chain.source]]\nkind = \"p2p\"\npeers = [\"127.0.0.1:18444\"]\n"
    );
    let config = load_text(&text, &[]).unwrap();
    assert_eq!(config.chains[0].source_count(), 4);
    let again = toml::to_string_pretty(&config).unwrap();
    assert_eq!(load_text(&again, &[]).unwrap(), config);
    let unknown = format!("{head}[[chain.source]]\nkind = \"pigeon\"\n");
    assert_eq!(faults(load_text(&unknown, &[]))[0], "chain[0].source[0].kind");
    let extra = format!(
        "{head}[[chain.source]]\nkind = \"esplora\"\nurl = \"http://127.0.0.1:1\"\ncolour = 1\n"
    );
    assert!(faults(load_text(&extra, &[]))[0].starts_with("chain[0].source[0]"));
}

#[test]
fn attesters_and_beacon_chains_are_read_and_every_fault_in_them_is_named() {
    let head =
        "[[chain]]\nid = \"eip155:1\"\nkind = \"ethereum\"\nrpc = [\"http://127.0.0.1:1\"]\n";
    let good = format!(
        "{head}[chain.beacon]\nurl = [\"http://127.0.0.1:2\"]\nnetwork = \"mainnet\"\n\
         max_checkpoint_age = \"14days\"\n"
    );
    let config = load_text(&good, &[]).unwrap();
    let beacon = config.chains[0].beacon.as_ref().unwrap();
    assert_eq!(beacon.max_checkpoint_age.as_secs(), 14 * 24 * 3_600);
    assert!(beacon.check_clock && beacon.require_next_committee && beacon.freeze_on_conflict);
    let again = toml::to_string_pretty(&config).unwrap();
    assert!(again.contains("freeze_on_conflict = true"), "every rule is shown: {again}");
    assert_eq!(load_text(&again, &[]).unwrap(), config);
    let bad = format!(
        "{head}[[chain.attester]]\nurl = \"ftp://x\"\ntoken_file = \"\"\n\
         [chain.beacon]\nurl = [\"127.0.0.1\"]\nnetwork = \"mars\"\nagree = 2\nstore = \"\"\n\
         checkpoint = \"0x{:064x}\"\n",
        0
    );
    let mut found = faults(load_text(&bad, &[]));
    found.sort();
    let expected = [
        "chain[0].attester",
        "chain[0].attester[0].token_file",
        "chain[0].attester[0].url",
        "chain[0].beacon.agree",
        "chain[0].beacon.checkpoint",
        "chain[0].beacon.network",
        "chain[0].beacon.store",
        "chain[0].beacon.url[0]",
    ];
    assert_eq!(found, expected);
    let unknown = format!("{good}colour = 1\n");
    assert!(faults(load_text(&unknown, &[]))[0].starts_with("chain[0].beacon"));
}

#[test]
fn the_environment_overrides_and_is_checked_too() {
    let config = load_text(
        "[node]\nrpc = \"127.0.0.1:1\"\n",
        &[
            ("GRID_NODE_RPC", "127.0.0.1:2"),
            ("GRID_RELAYER_POLL_L0", "2s"),
            ("GRID_RELAYER_ADMIN_LISTEN", "127.0.0.1:7"),
            ("GRID_LOG_JSON", "true"),
        ],
    )
    .unwrap();
    assert_eq!(config.node.rpc.port(), 2);
    assert_eq!(config.relayer.poll.l0.as_secs(), 2);
    assert_eq!(config.relayer.admin.listen.port(), 7);
    assert!(config.log.json);
    assert_eq!(faults(load_text("", &[("GRID_NODE_RCP", "x")])), ["node.rcp"]);
}

#[test]
fn broken_syntax_shows_the_place() {
    let Err(error) = load_text("[node\n", &[]) else { panic!("must be refused") };
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn a_network_is_read_and_every_fault_in_it_is_named() {
    let good = "[node]\nrole = \"full\"\n[node.p2p]\nlisten = \"/ip4/0.0.0.0/tcp/26656\"\n\
                peers = [\"/dns4/node0/tcp/1/p2p/12D3KooW\", \"/ip6/::1/tcp/2\"]\n";
    let config = load_text(good, &[("GRID_NODE_P2P_GOSSIP_LISTEN", "/ip4/0.0.0.0/tcp/7")]).unwrap();
    assert_eq!(config.node.role, NodeRole::Full);
    let p2p = config.node.p2p.as_ref().unwrap();
    assert_eq!(p2p.gossip_listen.as_deref(), Some("/ip4/0.0.0.0/tcp/7"));
    let again = toml::to_string_pretty(&config).unwrap();
    assert_eq!(load_text(&again, &[]).unwrap(), config);

    let bad = r#"
        [node]
        block_interval = "10s"
        rpc = "127.0.0.1:5"
        listen = "127.0.0.1:5"
        rpc_cors = ["https://app.example", "app.example"]
        [node.p2p]
        listen = "127.0.0.1:26656"
        peers = ["/ip4/127.0.0.1/udp/1", "/ip4/node0/tcp/1", "/dns/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/70000",
                 "/ip4/127.0.0.1/tcp/1/ws"]
        gossip_peers = ["/ip4/127.0.0.1/tcp/1"]
    "#;
    let mut found = faults(load_text(bad, &[]));
    found.sort();
    assert_eq!(
        found,
        [
            "node.empty_block_interval",
            "node.listen",
            "node.p2p.gossip_listen",
            "node.p2p.listen",
            "node.p2p.peers[0]",
            "node.p2p.peers[1]",
            "node.p2p.peers[2]",
            "node.p2p.peers[3]",
            "node.p2p.peers[4]",
            "node.rpc_cors[1]",
        ]
    );
    assert_eq!(faults(load_text("[node]\nrole = \"full\"\n", &[])), ["node.role"]);
    assert_eq!(faults(load_text("[node.p2p]\npeers = []\n", &[])), ["node.p2p"]);
}

/// A table's header in config/grid.toml, commented out or not.
fn header(line: &str) -> Option<&str> {
    line.trim_start_matches(['#', ' ']).strip_prefix('[')?.split(']').next()
}

#[test]
fn every_setting_of_the_explained_file_can_be_overridden_by_the_environment() {
    let text = include_str!("../../../config/grid.toml");
    let sections: Vec<&str> = text.lines().filter_map(header).collect();
    assert!(sections.contains(&"relayer.poll") && sections.contains(&"node.p2p"), "{sections:?}");
    for section in sections {
        let root = section.split('.').next();
        if ["node", "relayer", "log"].map(Some).contains(&root) {
            assert!(super::load::SECTIONS.contains(&section), "[{section}] is not in SECTIONS");
        }
    }
}

#[test]
fn a_fault_names_who_set_the_value() {
    let text =
        "[relayer]\nlisten = \"127.0.0.1:1\"\npol = 1\n[[chain]]\nid = \"eip155:1\"\nrpc = []\n";
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let overrides = Overrides {
        environment: vec![("GRID_RELAYER_MAIN_CHAIN".into(), "ftp://x".into())],
        flags: vec!["relayer.poll.l0=1ms".into(), "chain[4].agree=2".into()],
    };
    let Err(error) = load(file.path(), &overrides) else { panic!("must be refused") };
    let text = error.to_string();
    for part in [
        "\n  line 3: relayer.pol: unknown key \"pol\"; did you mean \"poll\"?",
        "\n  line 4: chain[0]: missing field `kind`",
        "\n  --set: chain[4].agree: there is no such section in the file",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = load_text("", &[("GRID_RELAYER_MAIN_CHAIN", "ftp://x")]).unwrap_err().to_string();
    assert!(text.contains("\n  GRID_RELAYER_MAIN_CHAIN: relayer.main_chain: "), "{text}");
}

#[test]
fn the_command_line_goes_before_the_environment_and_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[relayer.poll]\nl0 = \"1s\"\nl1 = \"1s\"\nl2 = \"1s\"\n").unwrap();
    let overrides = Overrides {
        environment: [
            ("GRID_RELAYER_POLL_L0", "2s"),
            ("GRID_RELAYER_POLL_L1", "2s"),
            ("RUST_LOG", "warn"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        flags: vec!["relayer.poll.l0=3s".into()],
    };
    let Loaded { config, origins } = load(file.path(), &overrides).unwrap();
    let poll = &config.relayer.poll;
    assert_eq!([poll.l0, poll.l1, poll.l2].map(|poll| poll.as_secs()), [3, 2, 1]);
    assert_eq!(config.log.filter, "warn");
    let found = ["l0", "l1", "l2", "l3"].map(|lane| origins.of(&format!("relayer.poll.{lane}")));
    let variable = Origin::Environment("GRID_RELAYER_POLL_L1".into());
    assert_eq!(found, [Origin::Flag, variable, Origin::File(4), Origin::Default]);
    assert_eq!(origins.of("log.filter"), Origin::Environment("RUST_LOG".into()));
}
