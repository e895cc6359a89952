//! `grid status --watch`: the relayer on one screen.
//!
//! What is shown is a function of the last answer, of the time and of the keys pressed ([`draw`]); this
//! module only asks, waits for keys and gives the terminal back as it was.

mod draw;
mod guarantee;
mod model;
#[cfg(test)]
mod tests;

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use eyre::{Result, WrapErr as _};
use grid_relayer::Status;
use ratatui::{
    Terminal,
    backend::Backend,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use tokio::sync::{mpsc, watch};

use self::{
    guarantee::Guarantee,
    model::{Flow, Key, Model},
};
use crate::{api::RelayerApi, main_chain::GridRpc};

/// Time between two questions to the daemon.
const REFRESH: Duration = Duration::from_secs(1);

/// The guarantee is asked for so many times more seldom.
const SELDOM: u32 = 10;

/// Time between two looks whether the reader of keys has to end.
const LOOK: Duration = Duration::from_millis(100);

/// Keys that wait to be handled; what comes faster is lost.
const KEYS: usize = 32;

/// Whether the screen may be used: somebody has to see it and to press keys.
pub(crate) fn possible() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

/// Whether colours are wanted (<https://no-color.org>).
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Shows the relayer until somebody presses `q`.
pub(crate) async fn run(api: &RelayerApi, rpc: GridRpc) -> Result<()> {
    let mut terminal = ratatui::try_init().wrap_err("cannot use this terminal")?;
    let ended = watch(api, rpc, &mut terminal).await;
    ratatui::restore();
    ended
}

/// The time, milliseconds since 1970.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

async fn watch<B: Backend>(api: &RelayerApi, rpc: GridRpc, terminal: &mut Terminal<B>) -> Result<()>
where
    B::Error: Send + Sync + 'static,
{
    let mut model = Model::new(api.address(), colours(), now_ms());
    let (mut keys, _reader) = read_keys();
    let (sender, mut answers) = mpsc::channel(1);
    let (covered, mut guarantees) = watch::channel(Guarantee::Unknown);
    let asking =
        [tokio::spawn(ask(api.clone(), sender)), tokio::spawn(ask_guarantee(rpc, covered))];
    let mut clock = tokio::time::interval(REFRESH);
    loop {
        model.now = now_ms();
        model.guarantee = *guarantees.borrow_and_update();
        terminal.draw(|frame| draw::draw(&model, frame.area(), frame.buffer_mut()))?;
        tokio::select! {
            key = keys.recv() => match key {
                Some(Some(key)) if model.press(key) == Flow::Go => {}
                // The window has another size: draw it anew.
                Some(None) => {}
                Some(Some(_)) | None => break,
            },
            Some(answer) = answers.recv() => model.answered(answer, now_ms()),
            // Ages grow while the daemon is away.
            _ = clock.tick() => {}
        }
    }
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

/// Asks the daemon again and again.
async fn ask(api: RelayerApi, answers: mpsc::Sender<Result<Status, String>>) {
    loop {
        let answer = api.get("/v1/status").await;
        if answers.send(answer.map_err(|error| format!("{error:#}"))).await.is_err() {
            return;
        }
        tokio::time::sleep(REFRESH).await;
    }
}

/// Asks the main chain for its guarantee now and then.
async fn ask_guarantee(rpc: GridRpc, answers: watch::Sender<Guarantee>) {
    while !answers.is_closed() {
        answers.send_replace(guarantee::ask(&rpc).await);
        tokio::time::sleep(REFRESH.saturating_mul(SELDOM)).await;
    }
}

/// Ends the reader of keys when it is dropped.
struct Reader(Arc<AtomicBool>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads keys on a thread of its own; `None` stands for a terminal of another size.
fn read_keys() -> (mpsc::Receiver<Option<Key>>, Reader) {
    let (sender, receiver) = mpsc::channel(KEYS);
    let stop = Arc::new(AtomicBool::new(false));
    let reader = Reader(stop.clone());
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let read = match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let sent = match read {
                Ok(Event::Key(pressed)) => match key(pressed) {
                    Some(key) => sender.try_send(Some(key)),
                    None => Ok(()),
                },
                Ok(Event::Resize(..)) => sender.try_send(None),
                Ok(_) => Ok(()),
                // The terminal is gone; so is the receiver's last sender.
                Err(_) => return,
            };
            if matches!(sent, Err(mpsc::error::TrySendError::Closed(_))) {
                return;
            }
        }
    });
    (receiver, reader)
}

fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char('c') if control => Key::Quit,
        KeyCode::Char('q') => Key::Quit,
        KeyCode::Char('p') => Key::Problems,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::Enter | KeyCode::Right => Key::Open,
        KeyCode::Tab => Key::Next,
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => Key::Back,
        _ => return None,
    })
}
