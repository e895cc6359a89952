//! `grid localnet`: the home folders of a new chain with several nodes.

use std::{net::SocketAddr, path::Path};

use alloy_primitives::Address;
use eyre::{Result, WrapErr as _, bail, eyre};
use grid_core::{genesis::Genesis, staking::MAX_UNBONDING_EPOCHS};
use serde::Serialize;

use super::{CHAIN_ID, genesis};
use crate::{
    args::LocalnetArgs,
    config::{Config, NodeRole, P2pSection},
    home::Home,
    keys,
    output::{Output, table},
};

/// Ports that belong to one node.
const PORTS: u16 = 10;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    dir: String,
    chain_id: u64,
    genesis_hash: String,
    nodes: Vec<NodeMade>,
    /// Has GRID and may register chains; its key is node 0's `user`.
    user: Address,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeMade {
    name: String,
    home: String,
    role: NodeRole,
    #[serde(skip_serializing_if = "Option::is_none")]
    validator: Option<Address>,
    rpc: String,
    health: String,
}

/// Creates the folders.
pub(super) fn run(args: &LocalnetArgs, out: Output) -> Result<()> {
    let plan = Plan::new(args)?;
    let homes: Vec<Home> = (0..plan.count()).map(|n| plan.home(n)).collect();
    homes.iter().try_for_each(genesis::refuse_existing)?;
    let (mut validators, mut user) = (Vec::new(), Address::ZERO);
    for (n, home) in homes.iter().enumerate() {
        let password = genesis::keys_folder(home)?;
        let dir = home.keys_dir();
        if n < usize::from(args.nodes) {
            validators.push(keys::create(&dir, "validator", &password)?.address);
        }
        if n == 0 {
            user = keys::create(&dir, "user", &password)?.address;
        }
    }
    let genesis = plan.genesis(&validators, user)?;
    let block = genesis::build(&genesis)?;
    for (n, home) in (0..).zip(&homes) {
        genesis::write_home(home, &genesis, &plan.config(n)?)?;
    }
    // Last: where this file stands, all nodes are complete.
    genesis::write(&args.dir.join("genesis.json"), &genesis::json(&genesis)?)?;
    let nodes = (0..).zip(&homes).map(|(n, home)| plan.made(n, home, &validators));
    let made = Made {
        dir: args.dir.display().to_string(),
        chain_id: genesis.chain_id,
        genesis_hash: block.hash.to_string(),
        nodes: nodes.collect::<Result<_>>()?,
        user,
    };
    out.show(&made, people)
}

fn people(made: &Made) -> String {
    let rows = made.nodes.iter().map(|node| {
        let role = node.validator.map_or_else(|| "full node".into(), |address| address.to_string());
        [node.home.clone(), role, node.rpc.clone(), node.health.clone()]
    });
    let table = table(["home", "validator", "json-rpc", "health"], rows);
    format!(
        "Grid chain eip155:{}, genesis {}, in {}\n\n{table}\n\
         funds of the tests: {} (key user of the first home)\n\
         next, for each home: grid --home HOME node run",
        made.chain_id, made.genesis_hash, made.dir, made.user
    )
}

/// Who gets which ports and knows whom.
struct Plan<'a> {
    args: &'a LocalnetArgs,
}

impl<'a> Plan<'a> {
    fn new(args: &'a LocalnetArgs) -> Result<Self> {
        let plan = Self { args };
        if plan.port(plan.count(), 0).is_err() {
            bail!(
                "--base-port {}: {} nodes need {PORTS} ports each, and ports end at 65535",
                args.base_port,
                plan.count()
            );
        }
        if args.host.as_deref().is_some_and(str::is_empty) {
            bail!("--host: the first part of the nodes' names must not be empty");
        }
        Ok(plan)
    }

    /// All nodes.
    fn count(&self) -> u16 {
        self.args.nodes.saturating_add(self.args.full)
    }

    fn name(n: u16) -> String {
        format!("node{n}")
    }

    fn home(&self, n: u16) -> Home {
        Home::new(self.args.dir.join(Self::name(n)))
    }

    fn port(&self, n: u16, offset: u16) -> Result<u16> {
        n.checked_mul(PORTS)
            .and_then(|more| self.args.base_port.checked_add(more)?.checked_add(offset))
            .ok_or_else(|| eyre!("no port is left for node {n}"))
    }

    /// Where a node listens for peers.
    fn listens(&self, n: u16, offset: u16) -> Result<String> {
        let host = if self.args.host.is_some() { "0.0.0.0" } else { "127.0.0.1" };
        Ok(format!("/ip4/{host}/tcp/{}", self.port(n, offset)?))
    }

    /// Where its peers find it.
    fn found(&self, n: u16, offset: u16) -> Result<String> {
        let port = self.port(n, offset)?;
        Ok(self.args.host.as_ref().map_or_else(
            || format!("/ip4/127.0.0.1/tcp/{port}"),
            |name| format!("/dns4/{name}{n}/tcp/{port}"),
        ))
    }

    /// Everybody but one node.
    fn peers(&self, n: u16, offset: u16) -> Result<Vec<String>> {
        (0..self.count())
            .filter(|other| *other != n)
            .map(|other| self.found(other, offset))
            .collect()
    }

    fn socket(&self, n: u16, offset: u16) -> Result<SocketAddr> {
        let host = if self.args.host.is_some() { [0, 0, 0, 0] } else { [127, 0, 0, 1] };
        Ok(SocketAddr::from((host, self.port(n, offset)?)))
    }

    fn url(&self, n: u16, offset: u16) -> Result<String> {
        let port = self.port(n, offset)?;
        Ok(self.args.host.as_ref().map_or_else(
            || format!("http://127.0.0.1:{port}"),
            |name| format!("http://{name}{n}:{port}"),
        ))
    }

    fn config(&self, n: u16) -> Result<Config> {
        let mut config = Config::default();
        let node = &mut config.node;
        node.role = if n < self.args.nodes { NodeRole::Validator } else { NodeRole::Full };
        node.moniker = Self::name(n);
        node.block_interval = *self.args.block_interval;
        node.empty_block_interval = (*self.args.empty_block_interval).max(node.block_interval);
        node.rpc = self.socket(n, 2)?;
        node.listen = self.socket(n, 3)?;
        node.p2p = Some(P2pSection {
            listen: self.listens(n, 0)?,
            peers: self.peers(n, 0)?,
            peers_only: false,
            gossip_listen: Some(self.listens(n, 1)?),
            gossip_peers: self.peers(n, 1)?,
        });
        config.relayer.main_chain = self.url(n, 2)?.into();
        config.relayer.listen = self.socket(n, 4)?;
        Ok(config)
    }

    fn genesis(&self, validators: &[Address], user: Address) -> Result<Genesis> {
        let funded: Vec<Address> = validators.iter().copied().chain([user]).collect();
        let chain_id = self.args.chain_id.unwrap_or(CHAIN_ID);
        let mut genesis = genesis::new(chain_id, validators, user, &funded)?;
        if let Some(file) = &self.args.genesis {
            let template = genesis::read(file, "--genesis")?;
            genesis.chain_id = self.args.chain_id.unwrap_or(template.chain_id);
            genesis.governor = template.governor;
            let guarantee = || genesis::guarantee(&template.chains);
            genesis.guarantee = Some(template.guarantee.unwrap_or_else(guarantee));
            genesis.chains = template.chains;
            genesis.alloc.extend(template.alloc);
        }
        genesis::fund(&mut genesis.alloc, &self.args.fund)?;
        let (validators, length) = (&genesis.validators, self.args.epoch_length);
        genesis.staking = Some(genesis::staking(validators, length, self.unbonding_epochs()));
        Ok(genesis)
    }

    /// As many epochs as the unbonding lasts, were every block in time.
    fn unbonding_epochs(&self) -> u16 {
        let epoch = self.args.block_interval.as_millis() * u128::from(self.args.epoch_length);
        let epochs = self.args.unbonding.as_millis().div_ceil(epoch.max(1));
        u16::try_from(epochs).unwrap_or(u16::MAX).clamp(1, MAX_UNBONDING_EPOCHS)
    }

    fn made(&self, n: u16, home: &Home, validators: &[Address]) -> Result<NodeMade> {
        let shown = |dir: &Path| dir.display().to_string();
        let config = self.config(n).wrap_err("a node's configuration")?;
        Ok(NodeMade {
            name: Self::name(n),
            home: shown(home.dir()),
            role: config.node.role,
            validator: validators.get(usize::from(n)).copied(),
            rpc: self.url(n, 2)?,
            health: self.url(n, 3)?,
        })
    }
}
