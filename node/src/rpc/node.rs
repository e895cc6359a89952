//! `grid_status` and `grid_peers`: the node itself.

use super::Methods;

pub(super) fn register(methods: &mut Methods) {
    methods.add("grid_status", 0, |context, _| Ok(context.health.status()));
    methods.add("grid_peers", 0, |context, _| Ok(context.health.peers()));
}
