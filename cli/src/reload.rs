//! Settings that change while the daemon runs: what is safe is applied at once, what is not is named and left.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use async_trait::async_trait;
use eyre::{Result, WrapErr as _};
use grid_adapters::{EndpointMetrics, Secret};
use grid_core::ChainId;
use grid_relayer::{
    ChainSource, Change, Control, Effect, Reload,
    attest::{AttestConfig, AttestedChain},
};
use tokio::sync::Mutex;
use toml::{Table, Value};

use crate::{
    config::{ChainSection, Config, SourceSection, leaves, masked_value},
    home::Home,
    logging::{self, LogFilter},
    sources,
};

/// What the daemon runs with.
#[derive(Debug)]
struct InForce {
    config: Config,
    /// The contents of each chain's secret files: they may change while their names stay.
    secrets: BTreeMap<ChainId, Vec<Secret>>,
}

/// Reads the daemon's settings again.
#[derive(Debug)]
pub(crate) struct Settings {
    home: Home,
    log: LogFilter,
    /// Nothing where no relayer runs.
    relayer: Option<Control>,
    /// Where the calls of new sources are counted.
    metrics: Option<EndpointMetrics>,
    in_force: Mutex<InForce>,
}

impl Settings {
    /// The settings that a daemon was started with.
    pub(crate) fn new(
        home: &Home,
        config: Config,
        log: LogFilter,
        relays: Option<(Control, EndpointMetrics)>,
    ) -> Self {
        let secrets = all_secrets(home, &config);
        let (relayer, metrics) = relays.unzip();
        Self {
            home: home.clone(),
            log,
            relayer,
            metrics,
            in_force: Mutex::new(InForce { config, secrets }),
        }
    }
}

#[async_trait]
impl Reload for Settings {
    async fn reload(&self) -> Result<Vec<Change>, String> {
        let mut in_force = self.in_force.lock().await;
        // Whatever can fail comes before the first change.
        let plan = Plan::new(&self.home, &in_force, self.metrics.as_ref())
            .map_err(|error| format!("{error:#}"))?;
        let changes = changes(&in_force.config, &plan.next, &plan.asked, &plan.renewed);
        self.log.set(&plan.next.log.filter).map_err(|error| format!("{error:#}"))?;
        if let Some(relayer) = &self.relayer {
            plan.apply(relayer).await.map_err(|error| format!("{error:#}"))?;
        }
        *in_force = InForce { config: plan.next, secrets: plan.secrets };
        Ok(changes)
    }
}

/// What a reload is going to do.
struct Plan {
    /// What the file asks for.
    asked: Config,
    /// What is in force afterwards.
    next: Config,
    secrets: BTreeMap<ChainId, Vec<Secret>>,
    /// Chains to follow by new sources.
    sources: Vec<ChainSource>,
    /// Chains whose secret files have other contents.
    renewed: BTreeSet<ChainId>,
    /// Chains to follow no more.
    gone: Vec<ChainId>,
    attest: AttestConfig,
}

impl Plan {
    fn new(home: &Home, in_force: &InForce, metrics: Option<&EndpointMetrics>) -> Result<Self> {
        let asked = home.config()?;
        logging::parse(&asked.log.filter)?;
        let mut next = in_force.config.clone();
        next.log.filter.clone_from(&asked.log.filter);
        let mut plan = Self {
            secrets: all_secrets(home, &asked),
            sources: Vec::new(),
            renewed: BTreeSet::new(),
            gone: Vec::new(),
            attest: AttestConfig::default(),
            next,
            asked,
        };
        if let Some(metrics) = metrics {
            plan.lanes();
            plan.next.relayer.attest_tokens.clone_from(&plan.asked.relayer.attest_tokens);
            plan.chains(home, in_force, metrics)?;
            plan.attest = sources::attestation(home, &plan.next)?;
        }
        Ok(plan)
    }

    /// A lane's watch is set when it starts: a much longer interval would be taken for a standstill.
    fn lanes(&mut self) {
        let (now, asked) = (&self.next.relayer.poll, &self.asked.relayer.poll);
        let allowed = |now, asked| if asked > Control::longest_poll() { now } else { asked };
        let mut poll = asked.clone();
        poll.l0 = allowed(now.l0, asked.l0);
        poll.l1 = allowed(now.l1, asked.l1);
        poll.l2 = allowed(now.l2, asked.l2);
        poll.l3 = allowed(now.l3, asked.l3);
        self.next.relayer.poll = poll;
        self.next.relayer.lanes.clone_from(&self.asked.relayer.lanes);
    }

    fn chains(&mut self, home: &Home, in_force: &InForce, metrics: &EndpointMetrics) -> Result<()> {
        let old = &in_force.config.chains;
        let mut chains = Vec::new();
        for (n, asked) in self.asked.chains.iter().enumerate() {
            let known = old.iter().enumerate().find(|(_, chain)| chain.id == asked.id);
            // Which messages are carried is read once.
            let messages = known.map_or(&asked.messages, |(_, chain)| &chain.messages);
            let asked = &ChainSection { messages: messages.clone(), ..asked.clone() };
            let renewed = in_force.secrets.get(&asked.id) != self.secrets.get(&asked.id);
            match known {
                // A source is named by the place of its section.
                Some((m, chain)) if n == m && chain == asked && !renewed => {}
                Some((_, chain)) if holds_a_file(chain) || holds_a_file(asked) => {
                    chains.push(chain.clone());
                    continue;
                }
                _ => {
                    self.sources.push(sources::of(home, &self.asked, n, asked, Some(metrics))?);
                    if renewed && known.is_some() {
                        self.renewed.insert(asked.id.clone());
                    }
                }
            }
            chains.push(asked.clone());
        }
        for chain in old {
            if !self.asked.chains.iter().any(|asked| asked.id == chain.id) {
                self.gone.push(chain.id.clone());
            }
        }
        self.next.chains = chains;
        Ok(())
    }

    async fn apply(&self, relayer: &Control) -> Result<()> {
        for source in &self.sources {
            let id = source.chain().id().clone();
            let attested: Option<&AttestedChain> = self.attest.chains.get(&id);
            relayer
                .put_chain(source.clone(), attested)
                .await
                .wrap_err_with(|| format!("chain {id} cannot be followed by its new sources"))?;
        }
        for id in &self.gone {
            relayer.remove_chain(id).await;
        }
        relayer.set_lanes(self.next.relayer.lanes());
        relayer.set_tokens(&self.attest.tokens);
        Ok(())
    }
}

/// Whether a chain's source keeps a file for itself alone, so that its successor could not open it.
fn holds_a_file(chain: &ChainSection) -> bool {
    chain
        .sources
        .iter()
        .any(|source| matches!(source, SourceSection::P2p(p2p) if p2p.headers_file.is_some()))
}

/// The contents of every chain's secret files. What cannot be read is met when the chain's sources are made.
fn all_secrets(home: &Home, config: &Config) -> BTreeMap<ChainId, Vec<Secret>> {
    let read = |file: &Path| {
        let text = fs::read_to_string(home.resolve(file)).map(zeroize::Zeroizing::new);
        Secret::new(text.as_ref().map_or("", |text| text.as_str()))
    };
    let of = |chain: &ChainSection| chain.secret_files().into_iter().map(read).collect();
    config.chains.iter().map(|chain| (chain.id.clone(), of(chain))).collect()
}

/// The settings that differ, each with what was done about it.
fn changes(
    old: &Config,
    next: &Config,
    asked: &Config,
    renewed: &BTreeSet<ChainId>,
) -> Vec<Change> {
    let [old, next, new] = [old, next, asked].map(by_key);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |key: &&&String| old.get(**key) != new.get(**key);
    let change = |key: &String| {
        let shown = |value: Option<&Value>| value.map(|value| masked_value(value).to_string());
        let applied = next.get(key) == new.get(key);
        Change {
            path: key.clone(),
            from: shown(old.get(key)),
            to: shown(new.get(key)),
            effect: if applied { Effect::Applied } else { Effect::NeedsRestart },
        }
    };
    let mut changes: Vec<Change> = keys.iter().filter(differs).map(|key| change(key)).collect();
    changes.extend(renewed.iter().map(|id| Change {
        path: format!("chain[{id}]: contents of its secret files"),
        from: None,
        to: None,
        effect: Effect::Applied,
    }));
    changes
}

/// Every value by its path, a chain's under its id: sections may change places.
fn by_key(config: &Config) -> BTreeMap<String, Value> {
    let mut table = Table::try_from(config).unwrap_or_default();
    let chains = table.remove("chain").and_then(|chains| match chains {
        Value::Array(chains) => Some(chains),
        _ => None,
    });
    let mut values: BTreeMap<String, Value> = leaves(&table).into_iter().collect();
    for chain in chains.unwrap_or_default() {
        let Value::Table(chain) = chain else { continue };
        let id = chain.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let inner = leaves(&chain).into_iter();
        values.extend(inner.map(|(path, value)| (format!("chain[{id}].{path}"), value)));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    const OLD: &str = "[relayer]\nstore = \"a.db\"\n[relayer.poll]\nl0 = \"1s\"\n\
        [[chain]]\nid = \"eip155:1\"\nkind = \"ethereum\"\nrpc = [\"http://a/KEY\"]\n\
        [[chain]]\nid = \"eip155:2\"\nkind = \"ethereum\"\nrpc = [\"http://b\"]\n";
    const NEW: &str = "[relayer]\nstore = \"b.db\"\n[relayer.poll]\nl0 = \"2s\"\n\
        [[chain]]\nid = \"eip155:2\"\nkind = \"ethereum\"\nrpc = [\"http://b\"]\n\
        [[chain]]\nid = \"eip155:1\"\nkind = \"ethereum\"\nrpc = [\"http://a/SECRET\"]\n";

    #[test]
    fn a_change_is_named_by_chain_and_says_whether_it_is_in_force_without_its_keys() {
        let (old, asked) = (config(OLD), config(NEW));
        let mut next = asked.clone();
        next.relayer.store.clone_from(&old.relayer.store);
        let renewed = BTreeSet::new();
        let found = changes(&old, &next, &asked, &renewed);
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "chain[eip155:1].rpc: [\"http://a/***\"] -> [\"http://a/***\"]",
                "relayer.poll.l0: \"1s\" -> \"2s\"",
                "relayer.store: \"a.db\" -> \"b.db\" (needs a restart, left as it was)",
            ]
        );
        assert!(changes(&asked, &asked, &asked, &renewed).is_empty());
    }
}
