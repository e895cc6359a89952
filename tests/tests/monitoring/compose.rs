//! docker/compose.yml: what a container engine would be asked to do. No engine runs here.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{self, list};

fn compose() -> Value {
    files::yaml("docker/compose.yml")
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().expect("services").iter()
}

/// A property of a service or of what it merges (`<<`), which a YAML reader may leave in place.
fn property<'a>(service: &'a Value, name: &str) -> &'a Value {
    match (service.get(name), service.get("<<")) {
        (Some(value), _) => value,
        (None, Some(merged)) => property(merged, name),
        (None, None) => &Value::Null,
    }
}

/// Whether a service runs once and ends.
fn runs_once(service: &Value) -> bool {
    property(service, "restart") == "no"
}

#[test]
fn every_service_is_pinned_bounded_watched_and_without_rights() {
    for (name, service) in services(&compose()) {
        let image = property(service, "image").as_str().unwrap_or_default();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
        let pinned = tag.chars().filter(char::is_ascii_digit).count() >= 2;
        assert!(pinned && tag != "latest", "{name}: image {image}");
        let user = property(service, "user").as_str().unwrap_or_default();
        assert!(!user.is_empty() && !user.starts_with("0:") && user != "0", "{name}: user {user}");
        assert_eq!(property(service, "read_only"), true, "{name}");
        assert_eq!(property(service, "cap_drop")[0], "ALL", "{name}");
        if !runs_once(service) {
            assert_eq!(property(service, "restart"), "unless-stopped", "{name}");
            let check = &property(service, "healthcheck")["test"];
            assert!(list(check).len() > 1, "{name}: no health check");
        }
        for limit in ["cpus", "memory", "pids"] {
            let set = &property(service, "deploy")["resources"]["limits"][limit];
            assert!(!set.is_null(), "{name}: no limit of {limit}");
        }
        assert!(service.get("privileged").is_none(), "{name}");
    }
}

#[test]
fn ports_are_published_on_loopback_only() {
    let mut published = 0;
    for (name, service) in services(&compose()) {
        for port in list(&service["ports"]) {
            let port = port.as_str().expect("quoted, or YAML reads a number to base 60");
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
            published += 1;
        }
    }
    assert!(published > 0);
}

#[test]
fn volumes_networks_secrets_and_files_exist() {
    let compose = compose();
    let declared = |kind: &str| -> BTreeSet<String> {
        compose[kind].as_object().expect(kind).keys().cloned().collect()
    };
    let (volumes, networks, secrets) =
        (declared("volumes"), declared("networks"), declared("secrets"));
    let mut used = BTreeSet::new();
    for (name, service) in services(&compose) {
        for volume in list(property(service, "volumes")) {
            let short = volume.as_str().and_then(|text| text.split(':').next());
            let source = short.or_else(|| volume["source"].as_str()).expect("a source");
            if source.starts_with('.') {
                assert!(files::path("docker").join(source).exists(), "{name}: {source}");
            } else if source != "/" {
                assert!(volumes.contains(source), "{name}: volume {source} is not declared");
                used.insert(source.to_owned());
            }
        }
        let joined = list(property(service, "networks"));
        assert!(!joined.is_empty(), "{name} is in no network, or in everybody's");
        for network in joined {
            assert!(networks.contains(network.as_str().expect("name")), "{name}: {network}");
        }
        for secret in list(property(service, "secrets")) {
            assert!(secrets.contains(secret.as_str().expect("name")), "{name}: {secret}");
        }
        let build = property(service, "build");
        if let Some(file) = build["dockerfile"].as_str() {
            let text = files::text(file);
            if let Some(target) = build["target"].as_str() {
                assert!(text.contains(&format!(" AS {target}\n")), "{name}: no stage {target}");
            }
        }
    }
    assert_eq!(used, volumes, "declared and not used, or the reverse");
}

#[test]
fn a_service_waits_until_what_it_needs_is_healthy_or_has_ended_well() {
    let compose = compose();
    let mut waits = 0;
    for (name, service) in services(&compose) {
        let needs = property(service, "depends_on").as_object();
        for (other, how) in needs.into_iter().flatten() {
            let needed = compose["services"].get(other);
            let needed = needed.unwrap_or_else(|| panic!("{name} depends on {other}"));
            let expected = if runs_once(needed) {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(how["condition"], expected, "{name} waits for {other}");
            // One that is not always started must not keep the others from starting.
            let always = property(needed, "profiles").is_null();
            assert!(always || how["required"] == false, "{name} needs {other} of a profile");
            waits += 1;
        }
    }
    assert!(waits > 8, "{waits}");
    for (name, needs) in [("relayer0", "node0"), ("relayer1", "node1")] {
        let waits = property(&compose["services"][name], "depends_on");
        assert!(waits.get(needs).is_some() && waits.get("postgres").is_some(), "{name}");
    }
}

#[test]
fn secrets_are_files_that_make_secrets_makes_and_no_service_has_one_in_its_environment() {
    let compose = compose();
    let script = files::text("docker/make-secrets");
    for (name, secret) in compose["secrets"].as_object().expect("secrets") {
        assert_eq!(secret["file"], format!("./secrets/{name}"));
        let made = script.contains(&format!("\"$secrets/{name}\""))
            || name.strip_suffix("_password").is_some_and(|part| script.contains(part));
        assert!(made, "docker/make-secrets does not make {name}");
    }
    for (name, service) in services(&compose) {
        let variables = property(service, "environment").as_object();
        for (variable, value) in variables.into_iter().flatten() {
            let hidden = variable.ends_with("FILE") || !variable.contains("PASSWORD");
            assert!(hidden, "{name}: {variable}");
            let text = value.as_str().unwrap_or_default();
            let login = text.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
            assert!(login.is_none_or(|(user, _)| !user.contains(':')), "{name}: {variable}");
        }
    }
}

#[test]
fn two_relayers_share_one_database_and_nothing_else_reaches_it() {
    let compose = compose();
    let of = |name: &str, variable: &str| {
        compose["services"][name]["environment"][variable].as_str().unwrap_or_default().to_owned()
    };
    let store = of("relayer0", "GRID_RELAYER_STORE");
    assert_eq!(store, "postgres://grid@postgres:5432/grid");
    assert_eq!(store, of("relayer1", "GRID_RELAYER_STORE"));
    assert_eq!(of("postgres", "POSTGRES_USER"), "grid");
    assert_eq!(of("postgres", "POSTGRES_DB"), "grid");
    let password = of("relayer0", "GRID_RELAYER_STORE_PASSWORD_FILE");
    assert!(files::text("docker/prepare").contains(&password), "{password} is not prepared");
    for name in ["relayer0", "relayer1"] {
        let node = of(name, "GRID_RELAYER_MAIN_CHAIN");
        assert!(node.starts_with(&name.replace("relayer", "http://node")), "{name}: {node}");
        let home = property(&compose["services"][name], "volumes")[0].as_str().expect("a volume");
        assert_eq!(home, "grid:/var/lib/grid:ro", "two processes must not write one home");
    }
    assert!(compose["services"]["postgres"].get("ports").is_none());
    for (name, service) in services(&compose) {
        let reaches = list(property(service, "networks")).iter().any(|one| one == "database");
        assert_eq!(reaches, name == "postgres" || name.starts_with("relayer"), "{name}");
    }
}

#[test]
fn grid_listens_where_health_check_and_prometheus_look() {
    let compose = compose();
    let grid = &compose["services"]["grid"];
    let example = files::text("config/grid.toml");
    for (variable, setting) in [
        ("GRID_NODE_RPC", "rpc = "),
        ("GRID_RELAYER_LISTEN", "listen = "),
        ("GRID_RELAYER_MAIN_CHAIN", "main_chain = "),
        ("GRID_LOG_JSON", "json = "),
    ] {
        assert!(grid["environment"][variable].is_string(), "{variable}");
        assert!(example.contains(&format!("\n{setting}")), "{variable} overrides no setting");
    }
    assert_eq!(grid["environment"]["GRID_RELAYER_LISTEN"], "0.0.0.0:9640");
    let targets: Value = files::yaml("docker/prometheus/targets/grid.yml");
    assert_eq!(list(&targets[0]["targets"]), ["relayer0:9640", "relayer1:9640"]);
    assert!(files::text("docker/healthcheck").contains("port=${2:-9640}"));
    for file in files::folder("config/prometheus/targets", "yml") {
        let own: Value = files::yaml(&format!("docker/prometheus/targets/{file}.yml"));
        for target in list(&own[0]["targets"]) {
            let (host, _) =
                target.as_str().and_then(|text| text.split_once(':')).expect("a target");
            assert!(compose["services"].get(host).is_some(), "{file}: no service {host}");
        }
    }
}

#[test]
fn the_nodes_of_the_network_are_those_of_a_localnet() {
    // `grid localnet --host node`: node I has the ports 27000 + 10·I, JSON-RPC two and health three above.
    let compose = compose();
    let targets = files::text("docker/prometheus/targets/nodes.yml");
    for n in 0..4 {
        let (name, first) = (format!("node{n}"), 27_000 + 10 * n);
        let node = &compose["services"][&name];
        let (rpc, health) = ((first + 2).to_string(), (first + 3).to_string());
        assert_eq!(node["ports"][0], format!("127.0.0.1:{rpc}:{rpc}"), "{name}");
        assert_eq!(list(&node["healthcheck"]["test"]).last().expect("a port"), health.as_str());
        assert_eq!(node["volumes"][0]["volume"]["subpath"], format!("net/{name}"));
        assert!(files::text("docker/prepare").contains("--dir \"$GRID_NET/net\" --host node"));
        assert!(targets.contains(&format!("\"{name}:{health}\"")), "{name} is in no target");
    }
    assert!(compose["services"].get("node4").is_none());
}

#[test]
fn images_do_not_run_as_root_and_take_no_secret_along() {
    for file in ["docker/Dockerfile", "docker/nodes.Dockerfile"] {
        let text = files::text(file);
        for stage in text.split("\nFROM ").skip(1) {
            let user = stage.lines().rev().find_map(|line| line.strip_prefix("USER "));
            let build = stage.lines().next().is_some_and(|line| line.ends_with(" AS build"));
            assert!(build || user.is_some_and(|user| !user.starts_with("root")), "{file}: {stage}");
            let image = stage.split_whitespace().next().unwrap_or_default();
            let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{file}: {image}"));
            assert!(tag.chars().any(|c| c.is_ascii_digit()), "{file}: {image} is not pinned");
        }
    }
    let ignored = files::text(".dockerignore");
    for path in ["**/target", ".git", "grid-home", "docker/secrets"] {
        assert!(ignored.lines().any(|line| line == path), ".dockerignore lacks {path}");
    }
}
