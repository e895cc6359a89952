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

/// The first of `count` neighbouring ports that nobody listens on, below those that the system hands out by
/// itself. Like [`free`], it promises nothing about other processes.
///
/// # Errors
/// [`NodeError::Io`] when there is no such row.
pub fn row(count: u16) -> Result<u16, NodeError> {
    /// Ports from here on are left to the system (Linux: 32768).
    const END: u16 = 32_000;
    const START: u16 = 12_000;
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Programs that run side by side begin their search at different places.
    let span = END - START - count;
    let mut first = START + u16::try_from(std::process::id() % u32::from(span)).unwrap_or_default();
    for _ in 0..1000 {
        let taken = (first..first + count).rev().find(|port| {
            given.contains(port) || TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err()
        });
        match taken {
            None => {
                given.extend(first..first + count);
                return Ok(first);
            }
            Some(port) if port + 1 + count < END => first = port + 1,
            Some(_) => first = START,
        }
    }
    Err(NodeError::io("finding a row of free ports")(std::io::ErrorKind::AddrInUse.into()))
}
