//! `grid node status` and `grid node peers`: what a running node says of itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::Address;
use eyre::Result;
use grid_core::api::{NodePeer, NodePeers, NodeStatus};

use crate::{
    args::NodeAskArgs,
    home::Home,
    main_chain::GridRpc,
    output::{Output, table},
};

/// Where the node stands.
pub(super) async fn status(home: &Home, args: &NodeAskArgs, out: Output) -> Result<()> {
    out.show(&node(home, args)?.node_status().await?, status_text)
}

/// Whom it is connected to.
pub(super) async fn peers(home: &Home, args: &NodeAskArgs, out: Output) -> Result<()> {
    out.show(&node(home, args)?.node_peers().await?, peers_text)
}

fn node(home: &Home, args: &NodeAskArgs) -> Result<GridRpc> {
    match &args.rpc {
        Some(url) => GridRpc::new(url),
        None => GridRpc::new(&format!("http://{}", home.config()?.node.rpc)),
    }
}

fn status_text(status: &NodeStatus) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_millis(status.time_ms)).as_secs();
    let role = match (status.validator, status.in_set) {
        (Some(address), true) => format!("validator {address}, in the set"),
        (Some(address), false) => format!("validator {address}, not in the set: it follows"),
        (None, _) => "full node".into(),
    };
    let highest = status
        .peer_height
        .map(|height| format!("; the highest has block {height}"))
        .unwrap_or_default();
    let ready = if status.problems.is_empty() {
        "yes".to_owned()
    } else {
        format!("NO: {}", status.problems.join("; "))
    };
    format!(
        "Grid eip155:{}  block {}  {}  {age} s old\n\n\
         role     {role}\n\
         peers    {} of consensus, {} of gossip{highest}\n\
         round    {}\n\
         mempool  {}\n\
         ready    {ready}",
        status.chain_id,
        status.height,
        status.block_hash,
        status.peers,
        status.gossip_peers,
        status.round,
        status.mempool
    )
}

fn peers_text(peers: &NodePeers) -> String {
    let rows = |network: &'static str, peers: &[NodePeer]| -> Vec<[String; 6]> {
        let row = |peer: &NodePeer| {
            [
                network.to_owned(),
                peer.moniker.clone().unwrap_or_default().escape_debug().to_string(),
                peer.height.map(|height| height.to_string()).unwrap_or_default(),
                peer.validator.as_ref().map(Address::to_string).unwrap_or_default(),
                peer.address.clone(),
                peer.peer_id.clone(),
            ]
        };
        peers.iter().map(row).collect()
    };
    let mut all = rows("consensus", &peers.consensus);
    all.extend(rows("gossip", &peers.gossip));
    if all.is_empty() {
        return "no peers".into();
    }
    table(["network", "name", "block", "validator", "address", "peer id"], all)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    #[test]
    fn problems_and_names_of_peers_are_told_as_they_are() {
        let status = NodeStatus {
            chain_id: 1,
            height: 7,
            block_hash: B256::ZERO,
            time_ms: 0,
            role: "validator".into(),
            validator: Some(Address::repeat_byte(1)),
            in_set: false,
            round: 3,
            peers: 2,
            gossip_peers: 1,
            peer_height: Some(40),
            mempool: 5,
            problems: vec!["33 blocks behind its peers".into()],
        };
        let text = status_text(&status);
        for part in ["block 7", "not in the set", "highest has block 40", "NO: 33 blocks behind"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // A name is a peer's word: it can't write to the terminal.
        let peer = NodePeer {
            peer_id: "12D3".into(),
            address: "/ip4/127.0.0.1/tcp/1".into(),
            moniker: Some("a\u{1b}[2J".into()),
            validator: None,
            height: Some(9),
        };
        let text = peers_text(&NodePeers { consensus: vec![peer], gossip: Vec::new() });
        assert!(text.contains("a\\u{1b}[2J") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(peers_text(&NodePeers::default()), "no peers");
    }
}
