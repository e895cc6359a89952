//! Settings that change while the relayer runs.
//!
//! Whoever starts a relayer has its settings; it compares the new ones with those in force, hands what can change
//! at once to a [`Control`] and names the rest. The relayer only knows how to ask for that ([`Reload`]).

use core::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use grid_adapters::{EndpointError, Secret};
use grid_core::{ChainId, Level};
use serde::{Deserialize, Serialize};

use crate::{ChainSource, attest::AttestedChain, config::LaneConfig, relayer::Inner};

/// One setting that differs from the one in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Its path, for example `relayer.poll.l0`.
    pub path: String,
    /// The value in force until now; nothing where it was not set.
    pub from: Option<String>,
    /// The new value; nothing where it is gone.
    pub to: Option<String>,
    /// What was done about it.
    pub effect: Effect,
}

/// What a reload did about a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Effect {
    /// It is in force now.
    Applied,
    /// It is left as it was until the program is started again.
    NeedsRestart,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "{}: {} -> {}", self.path, shown(&self.from), shown(&self.to))?;
        match self.effect {
            Effect::Applied => Ok(()),
            Effect::NeedsRestart => f.write_str(" (needs a restart, left as it was)"),
        }
    }
}

/// Reads the settings again.
#[async_trait]
pub trait Reload: Send + Sync {
    /// Applies what can change at once; nothing at all where a setting is wrong.
    ///
    /// # Errors
    /// What is wrong with the settings, for people.
    async fn reload(&self) -> Result<Vec<Change>, String>;
}

/// Changes a running relayer. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Other settings for the lanes, in the order of [`Level::ALL`]. A task's watch is set when it starts: a lane
    /// that is to look for work less often than every [`longest_poll`](Self::longest_poll) needs a restart.
    pub fn set_lanes(&self, lanes: [LaneConfig; Level::ALL.len()]) {
        self.0.shared().set_lanes(lanes);
    }

    /// The longest time between two looks of a lane that its watch takes for alive.
    #[must_use]
    pub const fn longest_poll() -> core::time::Duration {
        core::time::Duration::from_secs(crate::relayer::LATE.as_secs() / 3)
    }

    /// Other tokens for those who ask for signatures.
    pub fn set_tokens(&self, tokens: &[Secret]) {
        self.0.attest().set_tokens(tokens);
    }

    /// Follows a chain by this source from now on, whether or not it was followed before. A visit that is under way ends
    /// by itself; what both write is kept apart by the rows.
    ///
    /// # Errors
    /// When another attester cannot be asked; the chain is followed as before then.
    pub async fn put_chain(
        &self,
        source: ChainSource,
        attested: Option<&AttestedChain>,
    ) -> Result<(), EndpointError> {
        let id = source.chain().id().clone();
        self.0.collector().set_peers(&id, attested)?;
        let headers = match (&source, attested) {
            (ChainSource::Headers(source), Some(attested)) => {
                Some((source.clone(), attested.follows_final))
            }
            _ => None,
        };
        self.0.attest().attester().follow(&id, headers);
        self.0.shared().put(source).await;
        Ok(())
    }

    /// Follows a chain no more. What is on its way to the main chain is still brought to an end.
    pub async fn remove_chain(&self, id: &ChainId) {
        self.0.shared().remove(id).await;
        self.0.attest().attester().follow(id, None);
        // Nobody is asked without peers, so that nothing can fail.
        let _ = self.0.collector().set_peers(id, None);
    }
}

#[cfg(test)]
mod tests;
