//! What is said to peers, and what is made of their words.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::B256;
use libp2p::{
    PeerId,
    request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel},
};

use super::{
    Answer, BAN, Gossip, MAX_HASHES, OUTCOMES, PAUSE, Reason, Request,
    intake::{Batch, Judged},
    wire::FULL_ANSWER,
};

/// Most transactions that a peer is asked for at once: some 50 ms of judging.
const MOST_FETCHED: usize = 256;

impl Gossip {
    /// Queues the announcement of what has arrived in the mempool.
    pub(super) fn tell(&mut self) {
        let now = Instant::now();
        self.arrived.borrow_and_update();
        loop {
            let (news, next) = self.chain.mempool().since(self.told, MAX_HASHES);
            for transaction in &news {
                let hash = *transaction.tx_hash();
                self.peers.values_mut().for_each(|peer| peer.tell(hash, now));
            }
            self.told = next;
            if news.len() < MAX_HASHES {
                break;
            }
        }
        self.announce(now);
    }

    /// Sends the announcements whose time has come.
    pub(super) fn announce(&mut self, now: Instant) {
        let mempool = self.chain.mempool();
        for (id, peer) in &mut self.peers {
            if let Some(hashes) = peer.announcement(now, |hash| mempool.contains(hash)) {
                let request = Request::Announce(hashes);
                let exchange = &mut self.swarm.behaviour_mut().exchange;
                peer.announced(exchange.send_request(id, Ok(request)), now);
            }
        }
    }

    /// Answers announcements that were held back.
    pub(super) fn release(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            if let Some(channel) = peer.release(now) {
                // Where the connection has gone meanwhile, its end is told elsewhere.
                let exchange = &mut self.swarm.behaviour_mut().exchange;
                drop(exchange.send_response(channel, Answer::Noted));
            }
        }
    }

    /// Asks peers, in turn, for what they announced, as far as the budgets go.
    pub(super) fn fetch(&mut self, now: Instant) {
        let mut ids: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.fetching.is_none() && peer.wants() > 0)
            .map(|(id, _)| *id)
            .collect();
        ids.sort_unstable();
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(ids.len()).unwrap_or_default();
        ids.rotate_left(first);
        for id in ids {
            if self.intake.is_full() {
                return;
            }
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let affordable = peer.budget.available(now).min(self.budget.available(now));
            let most = MOST_FETCHED.min(usize::try_from(affordable).unwrap_or(usize::MAX));
            let intake = &self.intake;
            // A hash that was announced twice is asked for once.
            let mut chosen = HashSet::new();
            let mut hashes = peer.wish(most, |hash| intake.wish(hash, now));
            hashes.retain(|hash| chosen.insert(*hash));
            if hashes.is_empty() {
                continue;
            }
            let count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
            peer.budget.take(count, now);
            self.budget.take(count, now);
            self.intake.asked(&hashes, now);
            let request = Request::Fetch(hashes.clone());
            let request = self.swarm.behaviour_mut().exchange.send_request(&id, Ok(request));
            peer.fetching = Some((request, hashes));
        }
    }

    pub(super) fn on_exchange(&mut self, event: Event<Result<Request, String>, Answer>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                match request {
                    Ok(Request::Announce(hashes)) => self.on_announcement(peer, hashes, channel),
                    Ok(Request::Fetch(hashes)) => self.serve(peer, &hashes, channel),
                    Err(reason) => self.drop_peer(peer, Reason::Invalid, &reason, Some(BAN)),
                }
            }
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => {
                self.on_answer(peer, request_id, response);
            }
            Event::OutboundFailure { peer, error, .. } => match error {
                OutboundFailure::UnsupportedProtocols => {
                    let detail = "it does not speak this chain's protocol";
                    self.drop_peer(peer, Reason::Chain, detail, Some(PAUSE));
                }
                OutboundFailure::Io(error) if is_garbage(&error) => {
                    self.drop_peer(peer, Reason::Invalid, &error.to_string(), Some(BAN));
                }
                error => self.drop_peer(peer, Reason::Silent, &error.to_string(), None),
            },
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn on_announcement(&mut self, id: PeerId, hashes: Vec<B256>, channel: ResponseChannel<Answer>) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (first, intake) = (!peer.proven, &self.intake);
        match peer.hears(hashes, channel, now, |hash| intake.is_news(hash, now)) {
            Ok(Some(channel)) => {
                let exchange = &mut self.swarm.behaviour_mut().exchange;
                drop(exchange.send_response(channel, Answer::Noted));
            }
            Ok(None) => {}
            Err(broken) => return self.drop_peer(id, Reason::Invalid, broken, Some(BAN)),
        }
        if first {
            self.show();
        }
        self.fetch(now);
    }

    /// Sends transactions that were announced.
    fn serve(&mut self, id: PeerId, hashes: &[B256], channel: ResponseChannel<Answer>) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if hashes.is_empty() {
            return self.drop_peer(id, Reason::Invalid, "it asks for nothing", Some(BAN));
        }
        let strange = hashes.iter().filter(|hash| !peer.fetches(hash)).count();
        if !peer.forgives(u32::try_from(strange).unwrap_or(u32::MAX), now) {
            let detail = "it asks for what was not announced to it";
            return self.drop_peer(id, Reason::Useless, detail, Some(PAUSE));
        }
        let (mut transactions, mut size) = (Vec::new(), 0);
        for hash in hashes {
            if size >= FULL_ANSWER {
                break;
            }
            let found = self.chain.mempool().get(hash);
            let raw = found.map(|transaction| transaction.encoded_2718()).unwrap_or_default();
            size += raw.len();
            transactions.push(raw.into());
        }
        peer.offer_again(&hashes[transactions.len()..], now);
        let answer = Answer::Transactions(transactions);
        drop(self.swarm.behaviour_mut().exchange.send_response(channel, answer));
    }

    fn on_answer(&mut self, id: PeerId, request: OutboundRequestId, answer: Answer) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let fetched = peer.fetching.take_if(|(fetching, _)| *fetching == request);
        let broken = match (answer, fetched) {
            (Answer::Noted, None) => match peer.noted(request) {
                Some(first) => {
                    if first {
                        peer.tell_all(self.chain.mempool().waiting(Duration::ZERO));
                    }
                    self.dials.iter_mut().for_each(|dial| dial.succeeded(&id));
                    self.show();
                    return self.announce(Instant::now());
                }
                None => None,
            },
            (Answer::Transactions(transactions), Some((_, hashes)))
                if (1..=hashes.len()).contains(&transactions.len()) =>
            {
                let (asked, left) = hashes.split_at(transactions.len());
                peer.left_out(left);
                let mut batch = Batch { peer: id, transactions: Vec::new(), missing: Vec::new() };
                for (hash, raw) in asked.iter().zip(transactions) {
                    if raw.is_empty() {
                        batch.missing.push(*hash);
                    } else {
                        batch.transactions.push((*hash, raw));
                    }
                }
                self.intake.answered(left, Some(batch));
                return self.fetch(Instant::now());
            }
            (_, fetched) => fetched,
        };
        if let Some((_, hashes)) = broken {
            self.intake.answered(&hashes, None);
        }
        self.drop_peer(id, Reason::Invalid, "its answer does not fit the request", Some(BAN));
    }

    pub(super) fn on_judged(&mut self, judged: Judged) {
        let now = Instant::now();
        let Judged { peer: id, accepted, refused, useless, invalid, .. } = judged;
        let counts = [accepted, refused, useless.into(), invalid.is_some().into()];
        let received = &self.chain.metrics().gossip_received_total;
        for (outcome, count) in OUTCOMES.iter().zip(counts) {
            received.with_label_values(&[outcome]).inc_by(count);
        }
        if let Some(id) = id {
            let forgiven = self.peers.get_mut(&id).is_none_or(|peer| peer.forgives(useless, now));
            if let Some(reason) = invalid {
                self.drop_peer(id, Reason::Invalid, &reason, Some(BAN));
            } else if !forgiven {
                let detail = "too many useless transactions";
                self.drop_peer(id, Reason::Useless, detail, Some(PAUSE));
            }
        }
        self.release(now);
        self.fetch(now);
    }
}

/// Whether bytes came that are no message, as opposed to a connection that broke.
fn is_garbage(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
}
