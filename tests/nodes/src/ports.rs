//! Free TCP ports on the loopback interface.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::Mutex,
};

use crate::NodeError;

/// Ports handed out by this process: the system may offer one again before its node has bound it.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port nobody listens on, not handed out before by this process. Another process may still take
/// it before the node does; the node's `start` then fails with the node's own message.
///
/// # Errors
/// [`NodeError::Io`] when the system has no free port.
pub fn free() -> Result<u16, NodeError> {
    for _ in 0..256 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(NodeError::io("finding a free port"))?;
        let port = listener.local_addr().map_err(NodeError::io("finding a free port"))?.port();
        let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if given.insert(port) {
            return Ok(port);
        }
    }
    Err(NodeError::io("finding a free port")(std::io::ErrorKind::AddrInUse.into()))
}
