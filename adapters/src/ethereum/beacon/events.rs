//! A node's event stream as a wake-up. What the events say is not read.

use core::time::Duration;

use reqwest::{Response, StatusCode};
use tokio::{sync::Mutex, time};

use crate::{AdapterError, RpcError, http::HttpClient, rpc::Excerpt};

const PATH: &str = "/eth/v1/events";

/// What is asked for, the widest first: a node without a light-client server refuses its topics.
const TOPICS: [&str; 2] =
    ["topics=light_client_finality_update,finalized_checkpoint", "topics=finalized_checkpoint"];

/// Silence after which a stream counts as dead: two epochs of mainnet, in which finality advances twice.
const SILENCE: Duration = Duration::from_secs(770);
/// First and longest pause before a stream is opened again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Start of a line that names an event; all events of the topics are wake-ups.
const EVENT: &[u8] = b"event:";

/// The stream, kept open between two waits.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: Option<Response>,
    /// Index in [`TOPICS`].
    topics: usize,
    failures: u32,
    line: Line,
}

/// As much of the current line as tells whether it names an event.
#[derive(Debug, Default)]
struct Line {
    start: Vec<u8>,
}

impl Line {
    /// Takes the next bytes of the stream; whether they complete a line that names an event.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let mut event = false;
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    event |= self.start == EVENT;
                    self.start.clear();
                }
                byte if self.start.len() < EVENT.len() => self.start.push(*byte),
                _ => {}
            }
        }
        event
    }
}

impl Events {
    /// Returns at the next event. Reconnects for as long as it takes. Dropping the future keeps the
    /// stream open.
    pub(super) async fn changed(&self, http: &HttpClient) {
        let mut state = self.0.lock().await;
        loop {
            match state.next(http).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(%error, "no events");
                    state.open = None;
                    state.failures = state.failures.saturating_add(1);
                    let doubled =
                        PAUSE.0.saturating_mul(1 << state.failures.saturating_sub(1).min(8));
                    time::sleep(doubled.min(PAUSE.1)).await;
                }
            }
        }
    }
}

impl State {
    /// Reads one part of the stream, opening it if need be; whether it held an event.
    async fn next(&mut self, http: &HttpClient) -> Result<bool, AdapterError> {
        let endpoint = http.endpoint().origin();
        let broken = |reason: String| {
            let (endpoint, method) = (endpoint.to_owned(), PATH.to_owned());
            AdapterError::from(RpcError::Broken { endpoint, method, reason })
        };
        let Some(stream) = &mut self.open else {
            self.open = Some(self.connect(http).await?);
            self.line = Line::default();
            return Ok(false);
        };
        match time::timeout(SILENCE, stream.chunk()).await {
            Ok(Ok(Some(part))) => {
                self.failures = 0;
                Ok(self.line.take(&part))
            }
            Ok(Ok(None)) => Err(broken("the stream ended".into())),
            Ok(Err(error)) => Err(broken(error.without_url().to_string())),
            Err(_elapsed) => Err(broken("silence".into())),
        }
    }

    async fn connect(&mut self, http: &HttpClient) -> Result<Response, AdapterError> {
        let query = TOPICS.get(self.topics).unwrap_or(&TOPICS[0]);
        let answer = http.open(PATH, query, "text/event-stream").await?;
        if answer.status() == StatusCode::OK {
            return Ok(answer);
        }
        if answer.status() == StatusCode::BAD_REQUEST {
            self.topics = (self.topics + 1) % TOPICS.len();
        }
        let (endpoint, method) = (http.endpoint().origin().into(), PATH.into());
        let (status, body) = (answer.status().as_u16(), Excerpt::of(b""));
        Err(RpcError::Status { endpoint, method, status, body }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn an_event_is_noticed_however_the_stream_is_cut() {
        let stream = b": keep-alive\n\nevent: finalized_checkpoint\ndata: {\"event:\": 1}\n\n";
        for size in 1..stream.len() {
            let mut line = Line::default();
            let events = stream.chunks(size).filter(|part| line.take(part)).count();
            assert_eq!(events, 1, "{size}");
        }
        let mut line = Line::default();
        assert!(!line.take(b"data: event:\n:event:\n event:\n\n"));
        assert!(!line.take(&vec![b'x'; 1 << 20]));
        assert!(line.start.len() <= 6);
    }
}
