//! A TCP line that can be cut: stands between a node and one of its peers.
//!
//! A cut line behaves like a network that loses every packet: connections stay open and nothing arrives, new ones are taken
//! and stay silent. What was sent meanwhile arrives after the line has healed, as TCP's own retransmissions would bring it.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::NodeError;

/// Bytes that travel at once.
const CHUNK: usize = 64 * 1024;

/// The state of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Line {
    cut: bool,
    delay: Duration,
}

/// A line to one port. It ends with the value.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes every connection on to `target`, a port on the loopback interface.
    ///
    /// # Errors
    /// [`NodeError::Io`] when there is no free port.
    pub async fn to(target: u16) -> Result<Self, NodeError> {
        let opening = || NodeError::io(format!("opening a proxy to port {target}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(opening())?;
        let port = listener.local_addr().map_err(opening())?.port();
        let (line, watched) = watch::channel(Line::default());
        let task = tokio::spawn(serve(listener, target, watched));
        Ok(Self { port, line, task })
    }

    /// The port to connect to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the line.
    pub fn cut(&self) {
        self.line.send_modify(|line| line.cut = true);
    }

    /// Heals the line: what was held arrives now.
    pub fn heal(&self) {
        self.line.send_modify(|line| line.cut = false);
    }

    /// Holds every chunk of at most 64 KiB for this long in each direction, one after the other.
    pub fn delay(&self, delay: Duration) {
        self.line.send_modify(|line| line.delay = delay);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes connections until the task is aborted, which ends all of them.
async fn serve(listener: TcpListener, target: u16, line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((inbound, _)) = accepted {
                connections.spawn(pass(inbound, target, line.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection; ends with either side.
async fn pass(inbound: TcpStream, target: u16, mut line: watch::Receiver<Line>) {
    if line.wait_for(|line| !line.cut).await.is_err() {
        return;
    }
    let Ok(outbound) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    let (from_in, to_in) = inbound.into_split();
    let (from_out, to_out) = outbound.into_split();
    // A failure of one direction is the end of both, as for a real connection that was reset.
    tokio::select! {
        _ = pump(from_in, to_out, line.clone()) => {}
        _ = pump(from_out, to_in, line) => {}
    }
}

/// One direction, until its end has been passed on.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await?;
        let delay = line.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if line.wait_for(|line| !line.cut).await.is_err() || read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait_for;

    /// Echoes every byte.
    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        port
    }

    async fn round_trip(stream: &mut TcpStream, byte: u8) -> u8 {
        stream.write_all(&[byte]).await.unwrap();
        stream.read_u8().await.unwrap()
    }

    #[tokio::test]
    async fn a_cut_line_holds_what_is_sent_and_a_healed_one_brings_it() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
        assert_eq!(round_trip(&mut stream, 1).await, 1);
        proxy.cut();
        stream.write_all(&[2]).await.unwrap();
        let held = tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await;
        assert!(held.is_err(), "a cut line passes nothing");
        let mut second = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
        second.write_all(&[3]).await.unwrap();
        proxy.heal();
        assert_eq!(stream.read_u8().await.unwrap(), 2);
        assert_eq!(second.read_u8().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_delayed_line_is_slow_and_a_dropped_one_ends_its_connections() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
        proxy.delay(Duration::from_millis(100));
        let started = std::time::Instant::now();
        assert_eq!(round_trip(&mut stream, 1).await, 1);
        assert!(started.elapsed() >= Duration::from_millis(200), "both directions wait");
        drop(proxy);
        let ended = wait_for("the connection's end", Duration::from_secs(10), async || {
            stream.try_read(&mut [0; 8]).map_err(|error| error.to_string())
        });
        assert_eq!(ended.await.unwrap(), 0);
    }
}
