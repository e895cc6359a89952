//! Peers on loopback whose manners a test decides.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bitcoin::{
    block::Header as WireHeader,
    consensus::{deserialize, serialize},
    hashes::Hash as _,
    p2p::{
        Address, Magic, ServiceFlags,
        message::{NetworkMessage, RawNetworkMessage},
        message_network::VersionMessage,
    },
};
use grid_adapters::{
    SourceChain as _, SourceTip,
    bitcoin::p2p::{P2pConfig, P2pSource, Timing},
};
use grid_core::bitcoin::{Checkpoint, Header, NetworkParams, target};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How long anything in these tests may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Regtest's start of a message.
pub(crate) const MAGIC: Magic = Magic::REGTEST;

/// A peer's side of a connection.
pub(crate) struct Conn {
    stream: TcpStream,
}

impl Conn {
    pub(crate) async fn send(&mut self, message: NetworkMessage) -> bool {
        self.raw(&serialize(&RawNetworkMessage::new(MAGIC, message))).await
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next message; `None` when the other side has hung up.
    pub(crate) async fn next(&mut self) -> Option<NetworkMessage> {
        let mut frame = [0; 24];
        self.stream.read_exact(&mut frame).await.ok()?;
        let length = u32::from_le_bytes(frame[16..20].try_into().unwrap());
        let mut bytes = frame.to_vec();
        bytes.resize(24 + length as usize, 0);
        self.stream.read_exact(&mut bytes[24..]).await.ok()?;
        let message: RawNetworkMessage = deserialize(&bytes).expect("our own messages are sound");
        Some(message.into_payload())
    }

    /// Waits until the other side hangs up, whatever it says before.
    pub(crate) async fn until_closed(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Introduces itself as an honest node does.
    pub(crate) async fn handshake(&mut self) -> bool {
        let Some(NetworkMessage::Version(theirs)) = self.next().await else { return false };
        assert_eq!(theirs.services, ServiceFlags::NONE);
        assert!(!theirs.relay);
        self.send(NetworkMessage::Version(version())).await;
        self.send(NetworkMessage::WtxidRelay).await;
        self.send(NetworkMessage::SendAddrV2).await;
        self.send(NetworkMessage::Verack).await;
        // Its verack and sendheaders.
        let verack = self.next().await == Some(NetworkMessage::Verack);
        verack && self.next().await == Some(NetworkMessage::SendHeaders)
    }

    /// The locator of the next request for headers; pings are answered meanwhile. `None` when the
    /// other side has hung up.
    pub(crate) async fn asked_for_headers(&mut self) -> Option<Vec<[u8; 32]>> {
        loop {
            match self.next().await? {
                NetworkMessage::GetHeaders(request) => {
                    let hashes = request.locator_hashes.iter();
                    return Some(hashes.map(|hash| hash.to_byte_array()).collect());
                }
                NetworkMessage::Ping(nonce) => {
                    self.send(NetworkMessage::Pong(nonce)).await;
                }
                _ => {}
            }
        }
    }

    /// Answers like an honest node that has `chain`, until the other side hangs up.
    pub(crate) async fn serve(&mut self, chain: &[[u8; 80]]) {
        while let Some(locator) = self.asked_for_headers().await {
            self.send(NetworkMessage::Headers(wire(after(chain, &locator)))).await;
        }
    }
}

/// The part of a chain that follows the first known hash of a locator: at most 2,000 headers.
pub(crate) fn after<'a>(chain: &'a [[u8; 80]], locator: &[[u8; 32]]) -> &'a [[u8; 80]] {
    let parents = |hash: &[u8; 32]| chain.iter().position(|raw| raw[4..36] == *hash);
    let tip = chain.last().map(|raw| Header::parse(raw).hash().0);
    let from = locator
        .iter()
        .find_map(|hash| if tip == Some(*hash) { Some(chain.len()) } else { parents(hash) })
        .unwrap_or(0);
    &chain[from..chain.len().min(from + 2_000)]
}

pub(crate) fn wire(headers: &[[u8; 80]]) -> Vec<WireHeader> {
    headers.iter().map(|raw| deserialize(raw).expect("80 bytes are a header")).collect()
}

pub(crate) fn version() -> VersionMessage {
    let nowhere = Address::new(&SocketAddr::from(([0, 0, 0, 0], 0)), ServiceFlags::NONE);
    VersionMessage {
        version: 70_016,
        services: ServiceFlags::NETWORK | ServiceFlags::WITNESS,
        timestamp: 0,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce: 1,
        user_agent: "/fake/".into(),
        start_height: 0,
        relay: true,
    }
}

/// A peer; it ends with its test's runtime.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Fake {
    /// Listens, and lets `behave` have each connection.
    pub(crate) async fn start<F, Fut>(behave: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::start_at([127, 0, 0, 1], behave).await
    }

    /// As [`Self::start`], at an address of the loopback network.
    pub(crate) async fn start_at<F, Fut>(ip: [u8; 4], behave: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((IpAddr::from(ip), 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(behave(Conn { stream }));
            }
        });
        Self { address, connections }
    }

    /// An honest peer with this chain above genesis.
    pub(crate) async fn honest(chain: Vec<[u8; 80]>) -> Self {
        Self::honest_at([127, 0, 0, 1], chain).await
    }

    /// As [`Self::honest`], at an address of the loopback network.
    pub(crate) async fn honest_at(ip: [u8; 4], chain: Vec<[u8; 80]>) -> Self {
        let chain = Arc::new(chain);
        Self::start_at(ip, move |mut conn| {
            let chain = chain.clone();
            async move {
                if conn.handshake().await {
                    conn.serve(&chain).await;
                }
            }
        })
        .await
    }

    /// How often it was connected to.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A branch of regtest headers on top of `below`, a second apart; `salt` keeps branches apart.
pub(crate) fn branch(below: &[u8; 80], count: usize, salt: u8) -> Vec<[u8; 80]> {
    let mut at = Header::parse(below);
    let target = target::decode(at.bits).target;
    let next = |_| {
        at = Header { version: 4, prev: at.hash(), time: at.time + 1, ..at };
        at.merkle_root.0 = [salt; 32];
        while target::hash_number(&at.hash()) > target {
            at.nonce = at.nonce.wrapping_add(1);
        }
        at.to_bytes()
    };
    (0..count).map(next).collect()
}

pub(crate) fn genesis() -> [u8; 80] {
    NetworkParams::regtest().genesis.0
}

/// Patience for tests: faults show within a second, and nothing is tried again too soon.
pub(crate) fn timing() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        connect: millis(2_000),
        handshake: millis(1_000),
        message: millis(500),
        headers: millis(1_500),
        ping_every: millis(200),
        pong: millis(800),
        retry: millis(100),
        retry_most: millis(500),
        answer: millis(1_000),
        tick: millis(20),
        ..Timing::default()
    }
}

pub(crate) fn config(peers: &[&Fake]) -> P2pConfig {
    P2pConfig {
        peers: peers.iter().map(|peer| peer.address.to_string()).collect(),
        timing: timing(),
        ..P2pConfig::default()
    }
}

pub(crate) fn with_file(config: P2pConfig, file: &Path) -> P2pConfig {
    P2pConfig { headers_file: Some(file.to_owned()), ..config }
}

/// Follows regtest from genesis.
pub(crate) fn follow(config: P2pConfig) -> P2pSource {
    let params = NetworkParams::regtest();
    let start = Checkpoint::genesis(&params);
    P2pSource::start(params, &start, config).expect("configuration")
}

/// Waits until `done` holds, or fails saying what was waited for.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: not within {LIMIT:?}");
}

/// Waits until the source follows the tip.
pub(crate) async fn in_sync(source: &P2pSource) -> SourceTip {
    let tip = async {
        loop {
            if let Ok(tip) = source.tip().await {
                return tip;
            }
        }
    };
    tokio::time::timeout(LIMIT, tip).await.expect("in sync")
}
