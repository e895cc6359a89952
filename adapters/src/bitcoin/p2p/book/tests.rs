use super::*;
use crate::bitcoin::p2p::wire::WireError;

const SECOND: Duration = Duration::from_secs(1);

fn book() -> Book {
    Book::new(SECOND * 1_000, SECOND, SECOND * 60)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn lost() -> PeerError {
    PeerError::Lost { reason: "cut".into() }
}

#[test]
fn one_connection_for_each_network_group() {
    let mut book = book();
    let now = Instant::now();
    for text in ["10.1.0.1:8333", "10.1.200.2:8333", "10.2.0.1:8333", "[2001:db8::1]:8333"] {
        book.add(address(text), false);
    }
    let mut drawn = Vec::new();
    while let Some(next) = book.draw(now, 7) {
        book.connecting(next);
        drawn.push(NetGroup::of(next.ip()));
    }
    let unique: BTreeSet<NetGroup> = drawn.iter().copied().collect();
    assert_eq!((drawn.len(), unique.len()), (3, 3), "{drawn:?}");
    let mapped = NetGroup::of("::ffff:10.1.0.9".parse().unwrap());
    assert_eq!(mapped, NetGroup::V4([10, 1]));
}

#[test]
fn configured_peers_are_due_whatever_their_group() {
    let mut book = book();
    let now = Instant::now();
    book.add(address("127.0.0.1:1"), true);
    book.add(address("127.0.0.1:2"), true);
    book.add(address("10.0.0.1:8333"), false);
    assert_eq!(book.due(now).len(), 2);
    book.connecting(address("127.0.0.1:1"));
    assert_eq!(book.due(now), [address("127.0.0.1:2")]);
}

#[test]
fn failures_double_the_pause_up_to_its_bound_and_success_forgets_them() {
    let mut book = book();
    let peer = address("127.0.0.1:1");
    book.add(peer, true);
    let now = Instant::now();
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        book.connecting(peer);
        book.ended(peer, lost(), now);
        assert!(book.due(now + SECOND * pause - SECOND / 2).is_empty(), "{pause}");
        assert_eq!(book.due(now + SECOND * pause), [peer], "{pause}");
    }
    for _ in 0..100 {
        book.ended(peer, lost(), now);
    }
    book.useful(peer);
    book.ended(peer, lost(), now);
    assert_eq!(book.due(now + SECOND), [peer]);
}

#[test]
fn offenders_are_left_alone_for_the_whole_ban() {
    let mut book = book();
    let peer = address("127.0.0.1:1");
    book.add(peer, true);
    let now = Instant::now();
    let offence = PeerError::from(WireError::Checksum { command: "headers".into() });
    book.ended(peer, offence, now);
    assert!(book.due(now + SECOND * 999).is_empty());
    assert_eq!(book.due(now + SECOND * 1_000), [peer]);
    assert_eq!(book.errors().len(), 1);
}

#[test]
fn a_full_book_keeps_configured_and_connected_peers() {
    let mut book = book();
    let now = Instant::now();
    let fixed = address("192.0.2.1:8333");
    book.add(fixed, true);
    let host = |n: usize| address(&format!("10.{}.{}.1:8333", n / 250, n % 250));
    for n in 0..2 * MOST {
        book.add(host(n), false);
        if n == 0 {
            book.connecting(host(0));
        }
    }
    assert_eq!(book.entries.len(), MOST);
    assert!(book.entries.contains_key(&fixed) && book.entries.contains_key(&host(0)));
    assert!(book.draw(now, 0).is_some());
}
