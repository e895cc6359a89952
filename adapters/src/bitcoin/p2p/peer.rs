//! One connection: moves messages between a peer and the task that owns the headers.
//!
//! It knows deadlines of its own (connection, handshake, whole messages, pings) and nothing of
//! headers. What the peer may send is bounded by [`wire`](super::wire); what waits for the owner is
//! bounded by the events' channel, so that a talkative peer is read more slowly.

use core::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::net::SocketAddr;

use alloy_primitives::{B256, Bytes};
use bitcoin::{
    BlockHash,
    hashes::Hash as _,
    p2p::{
        message::NetworkMessage,
        message_blockdata::{GetHeadersMessage, Inventory},
    },
};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};

use super::{
    PeerError,
    config::Timing,
    handshake::{Remote, handshake},
    wire::{Message, Reader, encode},
};

/// Protocol version inside `getheaders`; nobody looks at it.
const LOCATOR_VERSION: u32 = 70_016;
/// Commands that wait for a connection.
const COMMANDS: usize = 16;
/// Pings that wait for their answer to be written.
const REPLIES: usize = 4;

/// Numbers connections over the process's life.
pub(super) type PeerId = u64;

/// What the owner asks of a connection.
#[derive(Debug)]
pub(super) enum Command {
    /// Ask for the headers after the first of these that the peer knows.
    GetHeaders(Vec<B256>),
    /// Ask for a block.
    GetBlock(B256),
}

/// What a connection tells its owner.
#[derive(Debug)]
pub(super) enum Event {
    /// The handshake is done.
    Ready { remote: Remote, commands: mpsc::Sender<Command> },
    /// Headers came.
    Headers(Vec<[u8; 80]>),
    /// Blocks were announced by hash.
    Announced,
    /// A block came.
    Block(Bytes),
    /// The peer does not have these blocks.
    NotFound(Vec<B256>),
    /// The connection is over.
    Closed(PeerError),
}

/// What each connection needs to know.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) magic: [u8; 4],
    pub(super) nonce: u64,
    pub(super) timing: Timing,
}

/// A connection's way to its owner.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) peer: PeerId,
    pub(super) to: mpsc::Sender<(PeerId, Event)>,
}

impl Report {
    /// Waits for room. Fails when the owner is gone, which ends the connection.
    async fn send(&self, event: Event) -> Result<(), PeerError> {
        let gone = |_| PeerError::Lost { reason: "shutting down".into() };
        self.to.send((self.peer, event)).await.map_err(gone)
    }
}

/// Connects and stays connected until something goes wrong.
pub(super) async fn run(address: SocketAddr, settings: Settings, report: Report) {
    let Err(error) = connected(address, &settings, &report).await;
    // The owner is gone, then nobody wants to know.
    let _ = report.send(Event::Closed(error)).await;
}

async fn connected(
    address: SocketAddr,
    settings: &Settings,
    report: &Report,
) -> Result<core::convert::Infallible, PeerError> {
    let Settings { magic, nonce, timing } = *settings;
    let stream = within("connection", timing.connect, async {
        let refused = |error: std::io::Error| PeerError::Connect { reason: error.to_string() };
        TcpStream::connect(address).await.map_err(refused)
    })
    .await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = Reader::new(BufReader::with_capacity(1 << 16, reader), magic);
    let introduced = handshake(&mut reader, &mut writer, address, magic, nonce);
    let remote = within("handshake", timing.handshake, introduced).await?;
    let (commands, asked) = mpsc::channel(COMMANDS);
    report.send(Event::Ready { remote, commands }).await?;
    let (replies, owed) = mpsc::channel(REPLIES);
    let blocks_due = AtomicUsize::new(0);
    let mut write = Writing { to: writer, magic, timing, blocks_due: &blocks_due };
    tokio::select! {
        end = read(&mut reader, timing, report, &replies, &blocks_due) => end,
        end = write.run(asked, owed) => end,
    }
}

/// Bounds a step; its own error, or the timeout's.
async fn within<T>(
    what: &'static str,
    limit: Duration,
    step: impl Future<Output = Result<T, PeerError>>,
) -> Result<T, PeerError> {
    timeout(limit, step).await.unwrap_or(Err(PeerError::Timeout { what, within: limit }))
}

/// Something that only the writing side can answer.
#[derive(Debug)]
enum Reply {
    /// The peer pinged.
    Pong(u64),
    /// The peer answered a ping.
    Ponged(u64),
}

async fn read(
    reader: &mut Reader<BufReader<OwnedReadHalf>>,
    timing: Timing,
    report: &Report,
    replies: &mpsc::Sender<Reply>,
    blocks_due: &AtomicUsize,
) -> Result<core::convert::Infallible, PeerError> {
    let ended = |_| PeerError::Lost { reason: "shutting down".into() };
    loop {
        // A silent peer is the pings' business, one that stops in a message this deadline's.
        let started = reader.start().await?;
        let block_due = blocks_due.load(Ordering::Relaxed) > 0;
        let rest = reader.finish(started, block_due);
        match within("end of a message", timing.message, rest).await? {
            Message::Ping(nonce) => replies.send(Reply::Pong(nonce)).await.map_err(ended)?,
            Message::Pong(nonce) => replies.send(Reply::Ponged(nonce)).await.map_err(ended)?,
            Message::Headers(headers) => report.send(Event::Headers(headers)).await?,
            Message::Inventory(blocks) if !blocks.is_empty() => {
                report.send(Event::Announced).await?;
            }
            Message::Block(raw) => {
                // Only this side counts down, and only after a look that found more than zero.
                blocks_due.fetch_sub(1, Ordering::Relaxed);
                report.send(Event::Block(raw.into())).await?;
            }
            Message::NotFound(blocks) => report.send(Event::NotFound(blocks)).await?,
            Message::Version(_) | Message::Verack => {
                return Err(PeerError::OutOfTurn { what: "its introduction again" });
            }
            Message::Inventory(_) | Message::Ignored => {}
        }
    }
}

struct Writing<'a> {
    to: OwnedWriteHalf,
    magic: [u8; 4],
    timing: Timing,
    blocks_due: &'a AtomicUsize,
}

impl Writing<'_> {
    async fn run(
        &mut self,
        mut asked: mpsc::Receiver<Command>,
        mut owed: mpsc::Receiver<Reply>,
    ) -> Result<core::convert::Infallible, PeerError> {
        let closed = || PeerError::Lost { reason: "shutting down".into() };
        let every = self.timing.ping_every;
        let mut pings = interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut awaited: Option<(u64, Instant)> = None;
        loop {
            let deadline = awaited.map(|(_, deadline)| deadline);
            tokio::select! {
                command = asked.recv() => match command.ok_or_else(closed)? {
                    Command::GetHeaders(locator) => self.send(get_headers(&locator)).await?,
                    Command::GetBlock(hash) => {
                        self.blocks_due.fetch_add(1, Ordering::Relaxed);
                        let block = Inventory::WitnessBlock(block_hash(&hash));
                        self.send(NetworkMessage::GetData(vec![block])).await?;
                    }
                },
                reply = owed.recv() => match reply.ok_or_else(closed)? {
                    Reply::Pong(nonce) => self.send(NetworkMessage::Pong(nonce)).await?,
                    Reply::Ponged(nonce) => awaited = awaited.filter(|(sent, _)| *sent != nonce),
                },
                _ = pings.tick(), if awaited.is_none() => {
                    let nonce = rand::random();
                    awaited = Some((nonce, Instant::now() + self.timing.pong));
                    self.send(NetworkMessage::Ping(nonce)).await?;
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    let (what, within) = ("pong", self.timing.pong);
                    return Err(PeerError::Timeout { what, within });
                }
            }
        }
    }

    async fn send(&mut self, message: NetworkMessage) -> Result<(), PeerError> {
        let bytes = encode(self.magic, message);
        let written = async { Ok(self.to.write_all(&bytes).await?) };
        within("room to write", self.timing.message, written).await
    }
}

fn block_hash(hash: &B256) -> BlockHash {
    BlockHash::from_byte_array(hash.0)
}

fn get_headers(locator: &[B256]) -> NetworkMessage {
    NetworkMessage::GetHeaders(GetHeadersMessage {
        version: LOCATOR_VERSION,
        locator_hashes: locator.iter().map(block_hash).collect(),
        // No stop: as many as there are.
        stop_hash: BlockHash::all_zeros(),
    })
}
