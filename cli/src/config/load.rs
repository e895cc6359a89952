//! Reading `grid.toml`, with overrides from the environment.

use std::path::{Path, PathBuf};

use grid_adapters::{
    bitcoin::p2p::{MAX_PEERS, P2pConfig},
    member::MAX_MEMBERS,
};
use grid_core::{
    bitcoin::network::NetworkParams,
    ethereum::{attest::MAX_ATTESTERS, sync::NetworkConfig},
};
use toml::{Table, Value};

use super::{BeaconSection, ChainKind, Config, ConfigError, Fault, SourceSection};

/// Sections that the environment can override.
const OVERRIDABLE: [&str; 3] = ["node", "relayer", "log"];
/// Sections inside of these.
const NESTED: [&str; 2] = ["poll", "p2p"];
/// More faults than this are not worth listing.
const MAX_FAULTS: usize = 64;

/// Reads and checks a configuration.
///
/// # Errors
/// [`ConfigError`]; where values are wrong, all of them.
pub(crate) fn load(
    file: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        file: file.to_owned(),
        message: error.to_string(),
    })?;
    override_from(&mut table, environment);
    let (config, mut faults) = decode(table);
    if let Some(config) = config {
        check(&config, &mut faults);
        if faults.is_empty() {
            return Ok(config);
        }
    }
    Err(ConfigError::Faults { file: file.to_owned(), faults })
}

/// `GRID_NODE_BLOCK_INTERVAL=2s` sets `node.block_interval`; `GRID_RELAYER_POLL_L0` sets `relayer.poll.l0`, and
/// `GRID_NODE_P2P_LISTEN` sets `node.p2p.listen`.
fn override_from(table: &mut Table, environment: impl IntoIterator<Item = (String, String)>) {
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("GRID_") else { continue };
        let rest = rest.to_ascii_lowercase();
        for section in OVERRIDABLE {
            let Some(key) = rest.strip_prefix(section).and_then(|key| key.strip_prefix('_')) else {
                continue;
            };
            let entry =
                table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(entry) = entry else { continue };
            let inner = NESTED.iter().find_map(|name| {
                let key = key.strip_prefix(name)?.strip_prefix('_')?;
                Some((*name, key))
            });
            if let Some((name, key)) = inner {
                let inner =
                    entry.entry(name.to_owned()).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(inner) = inner {
                    inner.insert(key.to_owned(), scalar(&value));
                }
            } else {
                entry.insert(key.to_owned(), scalar(&value));
            }
        }
    }
}

/// A number or boolean where the text is one, else a string.
fn scalar(text: &str) -> Value {
    text.parse::<i64>()
        .map(Value::Integer)
        .or_else(|_| text.parse::<bool>().map(Value::Boolean))
        .unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Decodes, and on each fault notes it, takes the faulty value out and decodes again, so that one wrong
/// value does not hide the next.
fn decode(mut table: Table) -> (Option<Config>, Vec<Fault>) {
    let mut faults = Vec::new();
    while faults.len() < MAX_FAULTS {
        match serde_path_to_error::deserialize::<_, Config>(Value::Table(table.clone())) {
            Ok(config) => return (Some(config), faults),
            Err(error) => {
                let mut path: Vec<String> = segments(&error.path().to_string());
                let message = error.inner().message().trim().to_owned();
                if let Some(unknown) = unknown_field(&message)
                    && path.last().map(String::as_str) != Some(unknown)
                {
                    path.push(unknown.to_owned());
                }
                let removed = remove(&mut table, &path);
                faults.push(Fault::new(shown(&path), message));
                if !removed {
                    break;
                }
            }
        }
    }
    (None, faults)
}

fn unknown_field(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// `chain[0].rpc` → `chain`, `0`, `rpc`.
fn segments(path: &str) -> Vec<String> {
    path.split(['.', '[', ']']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn shown(path: &[String]) -> String {
    let mut out = String::new();
    for part in path {
        if part.chars().all(|c| c.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    if out.is_empty() { "the file".into() } else { out }
}

/// Takes the value at `path` out; `false` where there is none (a missing value cannot be taken out).
fn remove(table: &mut Table, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut at: Option<&mut Value> = None;
    for part in parents {
        let next = match at {
            None => table.get_mut(part),
            Some(Value::Table(inner)) => inner.get_mut(part),
            Some(Value::Array(items)) => part.parse().ok().and_then(|n: usize| items.get_mut(n)),
            Some(_) => None,
        };
        if next.is_none() {
            return false;
        }
        at = next;
    }
    match at {
        None => table.remove(last).is_some(),
        Some(Value::Table(inner)) => inner.remove(last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(n) if n < items.len() => {
                items.remove(n);
                true
            }
            _ => false,
        },
        Some(_) => false,
    }
}

/// What is wrong with values that types alone allow.
pub(crate) fn faults(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    check(config, &mut faults);
    faults
}

fn check(config: &Config, faults: &mut Vec<Fault>) {
    config.node.check(faults);
    if let Err(fault) = http_url(&config.relayer.main_chain) {
        faults.push(Fault::new("relayer.main_chain", fault));
    }
    if config.node.rpc == config.relayer.listen {
        faults.push(Fault::new("relayer.listen", "must differ from node.rpc"));
    }
    for (lane, interval) in [
        ("l0", config.relayer.poll.l0),
        ("l1", config.relayer.poll.l1),
        ("l2", config.relayer.poll.l2),
        ("l3", config.relayer.poll.l3),
    ] {
        if interval.as_millis() < 50 {
            faults.push(Fault::new(format!("relayer.poll.{lane}"), "must be at least 50ms"));
        }
    }
    for (n, chain) in config.chains.iter().enumerate() {
        let at = |key: &str| format!("chain[{n}].{key}");
        if config.chains.iter().take(n).any(|other| other.id == chain.id) {
            faults.push(Fault::new(at("id"), format!("{} is configured twice", chain.id)));
        }
        let count = chain.source_count();
        if count == 0 {
            faults
                .push(Fault::new(at("rpc"), "at least one endpoint or [[chain.source]] is needed"));
        }
        if count > MAX_MEMBERS {
            let text = format!("{count} sources are configured; at most {MAX_MEMBERS} can be");
            faults.push(Fault::new(at("source"), text));
        }
        for (m, url) in chain.rpc.iter().enumerate() {
            if let Err(fault) = http_url(url) {
                faults.push(Fault::new(at(&format!("rpc[{m}]")), fault));
            }
        }
        if chain.agree == 0 || chain.agree > count.max(1) {
            faults.push(Fault::new(
                at("agree"),
                format!("must be between 1 and the number of sources ({count})"),
            ));
        }
        match chain.kind {
            ChainKind::Bitcoin => check_bitcoin(chain, &at, faults),
            ChainKind::Ethereum => check_ethereum(chain, &at, faults),
        }
    }
}

fn check_bitcoin(
    chain: &super::ChainSection,
    at: &dyn Fn(&str) -> String,
    faults: &mut Vec<Fault>,
) {
    match &chain.network {
        None => faults.push(Fault::new(
            at("network"),
            "is missing: one of mainnet, testnet3, testnet4, signet, regtest",
        )),
        Some(name) => match NetworkParams::by_name(name) {
            Err(error) => faults.push(Fault::new(at("network"), error.to_string())),
            Ok(params) if params.chain_id() != chain.id => faults.push(Fault::new(
                at("id"),
                format!("{} is not {name}, whose id is {}", chain.id, params.chain_id()),
            )),
            Ok(_) => {}
        },
    }
    if !chain.attesters.is_empty() {
        faults.push(Fault::new(at("attester"), "Bitcoin is verified, nobody attests it"));
    }
    if chain.beacon.is_some() {
        faults.push(Fault::new(at("beacon"), "Bitcoin has no beacon chain"));
    }
    let login = (&chain.cookie_file, &chain.user, &chain.rpc_password_file);
    check_login(login, at, faults);
    for (m, source) in chain.sources.iter().enumerate() {
        let at = |key: &str| at(&format!("source[{m}].{key}"));
        match source {
            SourceSection::Rpc { url, cookie_file, user, rpc_password_file, .. } => {
                if let Err(fault) = http_url(url) {
                    faults.push(Fault::new(at("url"), fault));
                }
                check_login((cookie_file, user, rpc_password_file), &at, faults);
            }
            SourceSection::Esplora { url } => {
                if let Err(fault) = http_url(url) {
                    faults.push(Fault::new(at("url"), fault));
                }
            }
            SourceSection::P2p(peers) => check_peers(peers, &at, faults),
            SourceSection::Import { file, .. } => {
                if file.as_os_str().is_empty() {
                    faults.push(Fault::new(at("file"), "names no file"));
                }
            }
        }
    }
}

fn check_peers(config: &P2pConfig, at: &dyn Fn(&str) -> String, faults: &mut Vec<Fault>) {
    if config.max_peers == 0 || config.max_peers > MAX_PEERS {
        faults.push(Fault::new(at("max_peers"), format!("must be between 1 and {MAX_PEERS}")));
    }
    if config.peers.len() > MAX_PEERS {
        faults.push(Fault::new(at("peers"), format!("at most {MAX_PEERS} can be named")));
    }
    for (m, peer) in config.peers.iter().enumerate() {
        if peer.is_empty() || peer.contains(['/', ' ']) {
            let text = format!("{peer:?} is no peer; expected host or host:port");
            faults.push(Fault::new(at(&format!("peers[{m}]")), text));
        }
    }
}

/// A cookie file, or user and password, or nothing.
fn check_login(
    (cookie_file, user, password_file): (&Option<PathBuf>, &Option<String>, &Option<PathBuf>),
    at: &dyn Fn(&str) -> String,
    faults: &mut Vec<Fault>,
) {
    if user.is_some() != password_file.is_some() {
        faults.push(Fault::new(at("user"), "user and rpc_password_file go together"));
    }
    if user.is_some() && cookie_file.is_some() {
        faults.push(Fault::new(at("cookie_file"), "give either a cookie file or a user, not both"));
    }
}

fn check_ethereum(
    chain: &super::ChainSection,
    at: &dyn Fn(&str) -> String,
    faults: &mut Vec<Fault>,
) {
    if !chain.sources.is_empty() {
        faults.push(Fault::new(at("source"), "an Ethereum chain has `rpc` only"));
    }
    if chain.id.eip155_number().is_none() {
        faults.push(Fault::new(at("id"), "an Ethereum chain's id has the form eip155:<number>"));
    }
    let depth = chain.follow.strip_prefix("latest-").map(str::parse::<u64>);
    if !matches!(chain.follow.as_str(), "latest" | "safe" | "finalized")
        && !matches!(depth, Some(Ok(_)))
    {
        faults.push(Fault::new(
            at("follow"),
            format!("{:?} is none of latest, safe, finalized, latest-N", chain.follow),
        ));
    }
    if chain.attesters.len() > MAX_ATTESTERS {
        faults.push(Fault::new(at("attester"), format!("at most {MAX_ATTESTERS} can be named")));
    }
    for (m, attester) in chain.attesters.iter().enumerate() {
        let at = |key: &str| at(&format!("attester[{m}].{key}"));
        if let Err(fault) = http_url(&attester.url) {
            faults.push(Fault::new(at("url"), fault));
        }
        if attester.token_file.as_os_str().is_empty() {
            faults.push(Fault::new(at("token_file"), "names no file"));
        }
    }
    if let Some(beacon) = &chain.beacon {
        if !chain.attesters.is_empty() {
            let text = "a chain with [chain.beacon] proves its finality, nobody attests it";
            faults.push(Fault::new(at("attester"), text));
        }
        if beacon.agree > chain.rpc.len() {
            let text =
                format!("must be 0 to the number of execution endpoints ({})", chain.rpc.len());
            faults.push(Fault::new(at("beacon.agree"), text));
        }
        check_beacon(beacon, &|key| at(&format!("beacon.{key}")), faults);
    }
}

fn check_beacon(beacon: &BeaconSection, at: &dyn Fn(&str) -> String, faults: &mut Vec<Fault>) {
    if beacon.url.is_empty() {
        faults.push(Fault::new(at("url"), "at least one beacon node is needed"));
    }
    if beacon.url.len() > MAX_MEMBERS {
        faults.push(Fault::new(at("url"), format!("at most {MAX_MEMBERS} can be named")));
    }
    for (m, url) in beacon.url.iter().enumerate() {
        if let Err(fault) = http_url(url) {
            faults.push(Fault::new(at(&format!("url[{m}]")), fault));
        }
    }
    let file = Path::new(&beacon.network).extension().is_some_and(|extension| extension == "json");
    if !file && let Err(error) = NetworkConfig::by_name(&beacon.network) {
        let text = format!("{error}; or name a file that ends with .json");
        faults.push(Fault::new(at("network"), text));
    }
    if beacon.checkpoint.is_some_and(|root| root.is_zero()) {
        faults.push(Fault::new(at("checkpoint"), "is the root of no block"));
    }
    if beacon.store.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
        faults.push(Fault::new(at("store"), "names no file"));
    }
}

fn http_url(text: &str) -> Result<(), String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or_else(|| format!("{text:?} must begin with http:// or https://"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return Err(format!("{text:?} names no host"));
    }
    if authority.contains('@') {
        return Err("credentials do not belong in an address; use cookie_file, or user and rpc_password_file".into());
    }
    Ok(())
}
