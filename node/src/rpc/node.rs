//! `grid_status` and `grid_peers`: the node itself.

use super::{Method, Methods};

pub(super) fn register(methods: &mut Methods) {
    let summary =
        "How the node stands: head, role, round, peers, mempool, and why it is not ready.";
    methods.add(Method::new("grid_status", &[], "NodeStatus", summary), |context, _| {
        Ok(context.health.status())
    });
    let summary = "The connected peers of the node.";
    methods.add(Method::new("grid_peers", &[], "NodePeers", summary), |context, _| {
        Ok(context.health.peers())
    });
}
