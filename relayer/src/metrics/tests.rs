use super::*;

/// A chain of which the main chain has spoken.
fn registered() -> ChainStatus {
    let chain = serde_json::json!({
        "id": "eip155:1", "level": "L1", "security": "attested", "mainStatus": "frozen",
        "state": "waiting", "reason": null, "nextAt": 0, "source": null, "tracked": null,
        "confirmed": null, "lagBlocks": 0, "lagSeconds": 0, "items": {"parked": 2},
        "ages": {"parked": 60}, "oldestAgeSeconds": 60, "reorgs": 0, "lastReorgDepth": 0,
    });
    serde_json::from_value(chain).unwrap()
}

#[test]
fn the_main_chains_word_and_the_age_of_each_stage_are_shown() {
    let metrics = Metrics::new().unwrap();
    metrics.observe(&MainStatus::default(), &WalletStatus::default(), &[registered()]);
    let text = metrics.render().unwrap();
    for line in [
        "grid_chain_status{chain=\"eip155:1\",status=\"frozen\"} 1",
        "grid_chain_status{chain=\"eip155:1\",status=\"active\"} 0",
        "grid_chain_info{chain=\"eip155:1\",level=\"L1\",security=\"attested\"} 1",
        "grid_item_age_seconds{chain=\"eip155:1\",stage=\"parked\"} 60",
        "grid_item_age_seconds{chain=\"eip155:1\",stage=\"sent\"} 0",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

fn sync_status() -> SyncStatus {
    let nothing = alloy_primitives::B256::ZERO;
    SyncStatus {
        started: true,
        checkpoint: nothing,
        finalized_slot: 0,
        finalized_root: nothing,
        finalized_time: 0,
        expires_at: 700,
        period: 0,
        next_committee_known: false,
        wanted: Vec::new(),
        pending: 0,
        missing_above: grid_core::api::BlockRef { height: 0, hash: nothing },
        lowest_pending: None,
        loosened: Vec::new(),
    }
}

#[test]
fn every_metric_is_rendered_with_its_help_before_anything_happens() {
    let metrics = Metrics::new().unwrap();
    metrics.initialise([&ChainId::eip155(1)]);
    metrics.observe(&MainStatus::default(), &WalletStatus::default(), &[registered()]);
    metrics.source(&ChainId::eip155(1), "chain[0].rpc[0]", true, 0);
    metrics.task("lane-l0", 0, 0);
    metrics.sync("eip155:1", &sync_status(), 0);
    metrics.configured([("lanes.l0.poll".to_owned(), "500ms".to_owned())]);
    metrics.attest_peer(&ChainId::eip155(1), "chain[0].attester[0]");
    let (chain, one) = (ChainId::eip155(1), U256::from(1));
    metrics.pool(one, one, one);
    metrics.guarantees(&chain, 1, 0);
    metrics.exposure(&chain, "chain", one, one);
    let text = metrics.render().unwrap();
    for MetricInfo { name, kind, help, .. } in Metrics::TABLE {
        let help = help.trim();
        let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        assert!(text.contains(&head), "{head} in\n{text}");
        assert!(
            text.lines().any(|line| line.starts_with(name) && !line.starts_with('#')),
            "{name} has no series"
        );
    }
}

#[test]
fn a_light_client_without_a_limit_never_expires_and_settings_are_replaced() {
    let metrics = Metrics::new().unwrap();
    metrics.sync("eip155:1", &SyncStatus { expires_at: 0, ..sync_status() }, 100);
    metrics.sync("eip155:2", &sync_status(), 100);
    metrics.sync("eip155:3", &sync_status(), 900);
    let poll = |value: &str| vec![("lanes.l0.poll".to_owned(), value.to_owned())];
    metrics.configured(poll("500ms"));
    metrics.reconfigured(poll("500ms"), poll("1s"));
    metrics.stage_left("eip155:1", Stage::Sent, 1_500);
    let text = metrics.render().unwrap();
    let lines = |name: &str| {
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let left = ["{chain=\"eip155:2\"} 600", "{chain=\"eip155:3\"} -200"];
    let name = "grid_light_client_expiry_seconds";
    assert_eq!(lines(name), left.map(|line| format!("{name}{line}")));
    let setting = "grid_config_info{setting=\"lanes.l0.poll\",value=\"1s\"} 1";
    assert_eq!(lines("grid_config_info"), [setting]);
    let sum = "grid_stage_seconds_sum{chain=\"eip155:1\",stage=\"sent\"} 1.5";
    assert_eq!(lines("grid_stage_seconds_sum"), [sum]);
}

#[test]
fn names_follow_the_conventions() {
    for MetricInfo { name, labels, help, .. } in Metrics::TABLE {
        assert!(name.starts_with("grid_"), "{name}");
        assert!(help.trim().ends_with('.'), "{name}: {help}");
        assert!(labels.iter().all(|label| label.chars().all(|c| c.is_ascii_lowercase())));
    }
}
