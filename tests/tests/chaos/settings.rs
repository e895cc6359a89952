//! How long, and from which seed.

use std::{env, fmt, str::FromStr, time::Duration};

/// Seed and kills of the normal run: the same events every time.
const SEED: u64 = 11;
const KILLS: u64 = 16;

/// What a run is told by its environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Draws every event.
    pub(crate) seed: u64,
    /// At least so many relayers are killed …
    pub(crate) kills: u64,
    /// … and the storm lasts at least so long.
    pub(crate) time: Duration,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let minutes = number("GRID_CHAOS_MINUTES").unwrap_or(0);
        Self {
            seed: number("GRID_CHAOS_SEED").unwrap_or(SEED),
            kills: number("GRID_CHAOS_KILLS").unwrap_or(KILLS),
            time: Duration::from_secs(60 * minutes),
        }
    }
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kills, time } = self;
        let minutes = time.as_secs() / 60;
        write!(f, "GRID_CHAOS_SEED={seed} GRID_CHAOS_KILLS={kills} GRID_CHAOS_MINUTES={minutes}")
    }
}
