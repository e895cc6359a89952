//! A peer that may say anything: raw bytes over the real protocol.

use std::io;

use async_trait::async_trait;
use libp2p::{
    StreamProtocol, SwarmBuilder,
    futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    identity::Keypair,
    noise,
    request_response::{self, Behaviour, Event, Message, ProtocolSupport},
    tcp, yamux,
};

use super::*;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Raw;

async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[async_trait]
impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

pub(super) struct Rogue {
    swarm: Swarm<Behaviour<Raw>>,
    target: PeerId,
}

impl Rogue {
    /// Dials a node and waits for the connection.
    pub(super) async fn dial(node: &GossipHandle, chain: &GridChain) -> Self {
        let protocol = network::protocol(CHAIN_ID, genesis_hash(chain).unwrap()).unwrap();
        let behaviour =
            Behaviour::<Raw>::new([(protocol, ProtocolSupport::Full)], Default::default());
        let mut swarm = SwarmBuilder::with_existing_identity(Keypair::generate_ed25519())
            .with_tokio()
            .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| behaviour)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        swarm.dial(node.address.clone()).unwrap();
        let connect = async {
            loop {
                if let SwarmEvent::ConnectionEstablished { peer_id, .. } =
                    swarm.select_next_some().await
                {
                    return peer_id;
                }
            }
        };
        let target = tokio::time::timeout(DEADLINE, connect).await.unwrap();
        Self { swarm, target }
    }

    /// Sends requests at once, answers each request of the node by `react` (nothing: no answer), sends the next
    /// request by `next` whenever one was answered, and returns when the node has ended the connection.
    pub(super) async fn until_dropped(
        mut self,
        first: Vec<Vec<u8>>,
        mut react: impl FnMut(Request) -> Option<Vec<u8>>,
        mut next: impl FnMut() -> Option<Vec<u8>>,
    ) {
        for request in first {
            self.swarm.behaviour_mut().send_request(&self.target, request);
        }
        let mut unanswered = Vec::new();
        let drive = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(Event::Message { message, .. }) => match message {
                        Message::Request { request, channel, .. } => {
                            match react(Request::decode(&request).unwrap()) {
                                Some(answer) => {
                                    drop(self.swarm.behaviour_mut().send_response(channel, answer))
                                }
                                None => unanswered.push(channel),
                            }
                        }
                        Message::Response { .. } => {
                            if let Some(request) = next() {
                                self.swarm.behaviour_mut().send_request(&self.target, request);
                            }
                        }
                    },
                    SwarmEvent::ConnectionClosed { num_established: 0, .. } => return,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, drive).await.expect("the node ends the connection");
    }
}

/// Notes announcements, and answers what it is asked for by `fetch`.
pub(super) fn serving(
    mut fetch: impl FnMut(Vec<B256>) -> Answer,
) -> impl FnMut(Request) -> Option<Vec<u8>> {
    move |request| match request {
        Request::Announce(_) => Some(Answer::Noted.encode()),
        Request::Fetch(hashes) => Some(fetch(hashes).encode()),
    }
}
