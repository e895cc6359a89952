//! Bitcoin Core's REST interface: two exchanges for 2,000 headers, 80 bytes each.
//!
//! REST serves the active chain only, whole from one state of it, and is off by default (`rest=1` switches it on). It is asked for
//! once; a node that turns out to have it off is asked by JSON-RPC.

use core::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::StatusCode;

use super::{BitcoinSource, RestMode, header};
use crate::{AdapterError, SourceHeader, http::Answer};

/// What is known about a node's REST interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Availability {
    Unknown = 0,
    On = 1,
    Off = 2,
}

impl Availability {
    pub(super) const fn of(mode: RestMode) -> Self {
        match mode {
            RestMode::Auto => Self::Unknown,
            RestMode::Off => Self::Off,
        }
    }
}

impl BitcoinSource {
    /// Whether REST can be used, asking the node when that is not known yet.
    pub(super) async fn rest_available(&self) -> bool {
        match self.rest.load(Ordering::Relaxed) {
            known if known == Availability::On as u8 => return true,
            known if known == Availability::Off as u8 => return false,
            _ => {}
        }
        let answer = match self.rpc.http().get("/rest/chaininfo.json").await {
            Ok(answer) => answer,
            Err(error) => {
                // Says nothing about REST; JSON-RPC will tell the trouble, if it lasts.
                tracing::debug!(%error, "REST could not be probed");
                return false;
            }
        };
        let on = answer.status.is_success()
            && serde_json::from_slice::<super::ChainInfo>(&answer.body).is_ok();
        self.set_rest(if on { Availability::On } else { Availability::Off });
        on
    }

    fn set_rest(&self, availability: Availability) {
        let endpoint = self.rpc.endpoint();
        tracing::debug!(endpoint, rest = ?availability, "REST interface");
        self.rest.store(availability as u8, Ordering::Relaxed);
    }

    /// Headers from a height: the hash there, then the chain from that hash.
    pub(super) async fn by_rest(
        &self,
        from: u64,
        count: usize,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let path = format!("/rest/blockhashbyheight/{from}.bin");
        let answer = self.rpc.http().get(&path).await?;
        if answer.status == StatusCode::NOT_FOUND && answer.body.starts_with(b"Block height") {
            return Ok(Vec::new());
        }
        let answer = self.rest_answer("rest/blockhashbyheight", answer)?;
        let Ok(first) = <[u8; 32]>::try_from(answer.as_ref()) else {
            let reason = format!("expected 32 bytes, got {}", answer.len());
            return Err(self.bad_answer("rest/blockhashbyheight", reason));
        };
        let first = first.into();
        let path = format!("/rest/headers/{}.bin?count={count}", header::shown(&first));
        let answer = self.rpc.http().get(&path).await?;
        let body = self.rest_answer("rest/headers", answer)?;
        let (raws, rest) = body.as_chunks::<{ header::LEN }>();
        if !rest.is_empty() || raws.len() > count {
            let reason =
                format!("expected up to {count} headers of 80 bytes, got {} bytes", body.len());
            return Err(self.bad_answer("rest/headers", reason));
        }
        if raws.is_empty() {
            return Err(self.reorganised(from));
        }
        let mut headers = Vec::with_capacity(raws.len());
        for (height, raw) in (from..u64::MAX).zip(raws) {
            let asked = headers.is_empty().then_some(&first);
            let parent = headers.last().map(|last: &SourceHeader| last.compat.blockHash);
            self.push(&mut headers, height, raw, asked).map_err(|error| match (error, parent) {
                // The node answers from one state of its chain, so no reorganisation tears this.
                (AdapterError::Reorganised { endpoint, .. }, Some(parent)) => {
                    let claimed = header::shown(&header::parent(raw));
                    let computed = header::shown(&parent);
                    let height = height.saturating_sub(1);
                    AdapterError::EditedHeader { endpoint, height, claimed, computed }
                }
                (error, _) => error,
            })?;
        }
        Ok(headers)
    }

    fn rest_answer(&self, method: &'static str, answer: Answer) -> Result<Bytes, AdapterError> {
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        if answer.status == StatusCode::NOT_FOUND {
            self.set_rest(Availability::Off);
        }
        Err(self.rpc.http().exchange().status(method, &answer).into())
    }
}
