//! What the screen shows, and how keys and answers change it.

use grid_relayer::{ChainStatus, Status};

use super::guarantee::Guarantee;

/// A key, by what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Up,
    Down,
    Open,
    /// The next chain, from wherever one is.
    Next,
    Back,
    Problems,
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Go,
    Quit,
}

/// The page that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Overview,
    /// The chosen chain.
    Chain,
    Problems,
}

/// The daemon does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Away {
    /// Milliseconds since 1970.
    pub(super) since: u64,
    pub(super) error: String,
}

/// Everything that the screen is made of.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Where the daemon is asked.
    pub(super) address: String,
    /// Its last answer, however old.
    pub(super) status: Option<Status>,
    pub(super) away: Option<Away>,
    pub(super) guarantee: Guarantee,
    /// Milliseconds since 1970.
    pub(super) now: u64,
    pub(super) page: Page,
    /// The chosen chain's place in the list.
    pub(super) chosen: usize,
    /// Lines that a long page was moved up by.
    pub(super) scroll: u16,
    pub(super) colours: bool,
}

impl Model {
    pub(super) fn new(address: &str, colours: bool, now: u64) -> Self {
        Self {
            address: address.into(),
            status: None,
            away: None,
            guarantee: Guarantee::Unknown,
            now,
            page: Page::Overview,
            chosen: 0,
            scroll: 0,
            colours,
        }
    }

    /// Chains in the order of the screen.
    pub(super) fn chains(&self) -> &[ChainStatus] {
        self.status.as_ref().map_or(&[], |status| &status.chains)
    }

    /// The chosen chain.
    pub(super) fn chain(&self) -> Option<&ChainStatus> {
        self.chains().get(self.chosen)
    }

    /// The daemon answered, or did not.
    pub(super) fn answered(&mut self, answer: Result<Status, String>, now: u64) {
        match answer {
            Ok(status) => {
                // The choice stays with its chain where others came or went.
                let id = self.chain().map(|chain| chain.id.clone());
                self.chosen = status
                    .chains
                    .iter()
                    .position(|chain| Some(&chain.id) == id.as_ref())
                    .unwrap_or_else(|| self.chosen.min(status.chains.len().saturating_sub(1)));
                self.status = Some(status);
                self.away = None;
            }
            Err(error) => {
                let since = self.away.as_ref().map_or(now, |away| away.since);
                self.away = Some(Away { since, error });
            }
        }
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: Key) -> Flow {
        let last = self.chains().len().saturating_sub(1);
        match (key, self.page) {
            (Key::Quit, _) => return Flow::Quit,
            (Key::Problems, Page::Problems) | (Key::Back, _) => self.turn(Page::Overview),
            (Key::Problems, _) => self.turn(Page::Problems),
            (Key::Open, Page::Overview) => self.turn(Page::Chain),
            (Key::Open, _) => {}
            (Key::Next, Page::Chain) => {
                self.chosen = if self.chosen >= last { 0 } else { self.chosen + 1 };
                self.scroll = 0;
            }
            (Key::Next, _) => self.turn(Page::Chain),
            (Key::Up, Page::Overview) => self.chosen = self.chosen.saturating_sub(1),
            (Key::Down, Page::Overview) => self.chosen = (self.chosen + 1).min(last),
            (Key::Up, _) => self.scroll = self.scroll.saturating_sub(1),
            (Key::Down, _) => self.scroll = self.scroll.saturating_add(1),
        }
        Flow::Go
    }

    fn turn(&mut self, page: Page) {
        self.page = page;
        self.scroll = 0;
    }
}
