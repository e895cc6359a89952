//! Connections to the configured peers.

use std::time::{Duration, Instant};

use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::{ConnectionId, dial_opts::DialOpts},
};

/// First pause after a failure; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(250);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// A configured peer.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) address: Multiaddr,
    /// Who answers there, by configuration or by the last connection.
    pub(super) peer: Option<PeerId>,
    attempt: Option<ConnectionId>,
    pause: Duration,
    next: Instant,
    /// The address is this node's own.
    own: bool,
}

impl Dial {
    pub(super) fn new(address: Multiaddr, now: Instant) -> Self {
        let peer = address.iter().find_map(|part| match part {
            Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        Self { address, peer, attempt: None, pause: FIRST, next: now, own: false }
    }

    /// What to dial, if its time has come. `connected` says whether there is a connection to a peer.
    pub(super) fn due(
        &mut self,
        now: Instant,
        connected: impl FnOnce(&PeerId) -> bool,
    ) -> Option<DialOpts> {
        let waits = self.own || self.attempt.is_some() || now < self.next;
        if waits || self.peer.as_ref().is_some_and(connected) {
            return None;
        }
        // Without a peer id by configuration, whoever answers is welcome: its identity may be new.
        let options = DialOpts::from(self.address.clone());
        self.attempt = Some(options.connection_id());
        Some(options)
    }

    /// A connection came about, perhaps by this attempt.
    pub(super) fn connected(&mut self, connection: ConnectionId, peer: PeerId) {
        if self.attempt == Some(connection) {
            self.attempt = None;
            self.peer = Some(peer);
        }
    }

    /// The peer at the other end is one of this chain.
    pub(super) fn succeeded(&mut self, peer: &PeerId) {
        if self.peer.as_ref() == Some(peer) {
            self.pause = FIRST;
        }
    }

    /// An attempt failed, perhaps this one. `own` where this node itself answered.
    pub(super) fn failed(&mut self, connection: ConnectionId, own: bool, now: Instant) -> bool {
        let mine = self.attempt == Some(connection);
        if mine {
            self.attempt = None;
            self.own = own;
            self.later(now);
        }
        mine
    }

    /// The last connection to a peer ended, perhaps to this one.
    pub(super) fn lost(&mut self, peer: &PeerId, now: Instant) {
        if self.peer.as_ref() == Some(peer) {
            self.later(now);
        }
    }

    fn later(&mut self, now: Instant) {
        self.next = now + self.pause;
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_a_connection_stands() {
        let start = Instant::now();
        let mut dial = Dial::new("/ip4/127.0.0.1/tcp/1".parse().unwrap(), start);
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let attempt = dial.due(now, |_| false).expect("it is time").connection_id();
            assert!(dial.due(now, |_| false).is_none(), "one attempt at a time");
            assert!(!dial.failed(ConnectionId::new_unchecked(usize::MAX), false, now));
            assert!(dial.failed(attempt, false, now));
            assert!(dial.due(now, |_| false).is_none());
            pauses.push(dial.next - now);
            now = dial.next;
        }
        assert_eq!(pauses[0], FIRST);
        assert_eq!(pauses[1], FIRST * 2);
        assert_eq!(pauses[9], LONGEST);
        let attempt = dial.due(now, |_| false).unwrap().connection_id();
        let peer = PeerId::random();
        dial.connected(attempt, peer);
        dial.succeeded(&peer);
        assert!(dial.due(now, |found| *found == peer).is_none(), "it is connected");
        dial.lost(&peer, now);
        assert_eq!(dial.next - now, FIRST);
        assert!(dial.due(now + FIRST, |_| false).is_some());
    }

    #[test]
    fn a_node_does_not_dial_itself_twice() {
        let now = Instant::now();
        let mut dial = Dial::new("/ip4/127.0.0.1/tcp/1".parse().unwrap(), now);
        let attempt = dial.due(now, |_| false).unwrap().connection_id();
        dial.failed(attempt, true, now);
        assert!(dial.due(now + LONGEST * 2, |_| false).is_none());
    }
}
