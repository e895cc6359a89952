//! `grid node init`: the home folder of a node that joins an existing chain.

use alloy_primitives::Address;
use eyre::{Result, bail};
use serde::Serialize;

use crate::{
    args::NodeInitArgs,
    cmd::genesis,
    config::{self, Config, NodeRole, P2pSection},
    home::Home,
    keys,
    output::Output,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    home: String,
    chain_id: u64,
    genesis_hash: String,
    role: NodeRole,
    /// Address of the new validator's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    validator: Option<Address>,
    peer_id: String,
    /// What other nodes put into `node.p2p.peers`.
    peer_address: String,
}

/// Creates the folder.
pub(super) fn run(home: &Home, args: &NodeInitArgs, out: Output) -> Result<()> {
    genesis::refuse_existing(home)?;
    let genesis = genesis::read(&args.genesis, "--genesis")?;
    let block = genesis::build(&genesis)?;
    let config = configuration(args);
    // Nothing is written where the node could not start.
    let faults: Vec<String> = config::faults(&config)
        .into_iter()
        .map(|fault| format!("{}: {}", fault.path, fault.message))
        .collect();
    if !faults.is_empty() {
        bail!("the node could not start with these values:\n  {}", faults.join("\n  "));
    }
    let password = genesis::keys_folder(home)?;
    let validator = if args.full {
        None
    } else {
        Some(keys::create(&home.keys_dir(), "validator", &password)?.address)
    };
    let peer_id = grid_node::peer_id(&home.resolve(&config.node.data))?;
    genesis::write_home(home, &genesis, &config)?;
    let made = Made {
        home: home.dir().display().to_string(),
        chain_id: genesis.chain_id,
        genesis_hash: block.hash.to_string(),
        role: config.node.role,
        validator,
        peer_address: format!("{}/p2p/{peer_id}", args.listen),
        peer_id,
    };
    out.show(&made, people)
}

fn people(made: &Made) -> String {
    let mut text = format!(
        "created {}\n  Grid chain    eip155:{}  genesis {}\n  peer address  {}\n",
        made.home, made.chain_id, made.genesis_hash, made.peer_address
    );
    if made.peer_address.contains("/0.0.0.0/") {
        text.push_str("                put the address that peers reach in the place of 0.0.0.0\n");
    }
    if let Some(address) = made.validator {
        text.push_str(&format!(
            "  validator     {address}\n                it follows until it is registered and elected\n  password      {}/keys/password (keep it, and back it up apart from the keys)\n",
            made.home
        ));
    }
    text.push_str(&format!(
        "compare the genesis hash with a source that you trust\nnext: grid --home {} node run",
        made.home
    ));
    text
}

fn configuration(args: &NodeInitArgs) -> Config {
    let mut config = Config::default();
    let node = &mut config.node;
    node.role = if args.full { NodeRole::Full } else { NodeRole::Validator };
    node.moniker.clone_from(&args.moniker);
    node.set_interval(*args.block_interval);
    node.rpc = args.rpc;
    node.listen = args.health;
    node.p2p = Some(P2pSection {
        listen: args.listen.clone(),
        peers: args.peer.clone(),
        peers_only: false,
        gossip_listen: Some(args.gossip_listen.clone()),
        gossip_peers: args.gossip_peer.clone(),
    });
    config.relayer.main_chain = format!("http://{}", args.rpc).into();
    config
}
