//! One round of one chain: search its new blocks, look at the messages that are due, hand deliveries in.

use core::{future::Future, time::Duration};

use alloy_primitives::Address;
use alloy_sol_types::SolCall;
use futures::future::{BoxFuture, FutureExt as _};
use grid_core::{
    ChainId,
    api::ChainInfo,
    message::Route,
    modules::abi::{MAILBOX, Mailbox},
};
use tokio::time::{Instant, timeout};

use super::{MessageSource, Messages, hold, prove::ProveError};
use crate::main_chain::MainError;

/// Messages that one round looks at.
const MESSAGES: u32 = 128;

/// The age of the main chain's view that a round can do with.
const FRESH: Duration = Duration::from_millis(500);

/// The status of a chain whose evidence is accepted.
const ACTIVE: &str = "active";

/// What one round has to go by.
pub(super) struct Place<'a> {
    pub(super) chain: &'a ChainId,
    /// The main chain.
    pub(super) own: ChainId,
    pub(super) source: &'a MessageSource,
    pub(super) info: &'a ChainInfo,
    pub(super) route: Route,
    /// The main chain's time, seconds since 1970.
    pub(super) now: u64,
}

impl Place<'_> {
    /// The highest block that is deep enough for a delivery.
    fn ripe(&self) -> Option<u64> {
        self.info.confirmed?.height.checked_sub(self.route.min_depth)
    }
}

impl Messages {
    pub(super) async fn round(
        &self,
        chain: &ChainId,
        source: &MessageSource,
    ) -> Result<(), ProveError> {
        if self.shared.paused(chain) {
            return Ok(());
        }
        let view = self.shared.view(FRESH).await?;
        let own = ChainId::eip155(view.tip.chain_id);
        let Some(info) = view.chain(chain) else { return Ok(()) };
        let route = self.route(chain, &own).await?;
        if !route.is_open() {
            return Ok(());
        }
        // Each part has its time: a source that is slow does not keep what is known from being delivered.
        let part = self.parts.deadline / 3;
        let mut done = Ok(());
        // Of several relayers on one database one looks after a chain's messages.
        if self.parts.crew.hold(&hold(chain), self.parts.clock.now_ms()).await?.is_some() {
            let place = Place { chain, own, source, info, route, now: view.tip.time_ms / 1_000 };
            let searched = within(part, self.search(&place)).await;
            let looked = within(part, self.look_at_all(&place, Instant::now() + part / 2)).await;
            done = looked.and(searched);
        }
        within(part, self.hand_in(&view)).await?;
        done
    }

    /// Looks at the messages that are due, until it is time for something else.
    async fn look_at_all(&self, place: &Place<'_>, until: Instant) -> Result<(), ProveError> {
        // A chain that is suspended or frozen delivers nothing; its messages wait without being refused.
        let Some(ripe) = place.ripe().filter(|_| place.info.status == ACTIVE) else {
            return Ok(());
        };
        let now = self.parts.clock.now_ms();
        for row in self.parts.store.open_messages(place.chain, ripe, now, MESSAGES).await? {
            self.look(&row, place).await?;
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Asks a view of the main chain's mailbox.
    pub(super) async fn ask<C: SolCall>(&self, call: C) -> Result<C::Return, MainError> {
        let answer =
            self.parts.main.call(&Address::ZERO, &MAILBOX, &call.abi_encode().into()).await?;
        let bad = |reason: String| MainError::BadAnswer { method: "eth_call", reason };
        C::abi_decode_returns(&answer.map_err(bad)?).map_err(|error| bad(error.to_string()))
    }

    async fn route(&self, chain: &ChainId, own: &ChainId) -> Result<Route, MainError> {
        let (source, destination) = (chain.key().0, own.key().0);
        let found = self.ask(Mailbox::routeOfCall { source, destination }).await?;
        Ok(Route {
            policy: found.policy,
            max_payload: found.maxPayload,
            min_depth: found.minDepth,
            mailbox: found.mailbox,
        })
    }
}

/// A part of a round that ends in time. Every step between two awaits is atomic.
fn within<'a>(
    limit: Duration,
    part: impl Future<Output = Result<(), ProveError>> + Send + 'a,
) -> BoxFuture<'a, Result<(), ProveError>> {
    async move { timeout(limit, part).await.unwrap_or(Err(ProveError::Late(limit))) }.boxed()
}
