//! One node of a network: its home folder, and its configuration as `grid localnet` wrote it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use alloy_signer_local::PrivateKeySigner;
use toml::{Table, Value};

use crate::{Grid, GridConfig, NodeError, rpc::Rpc};

/// Keys of `[node.p2p]` that hold an address to listen on, in the order of the ports.
const LISTEN: [&str; 2] = ["listen", "gossip_listen"];
/// Keys of `[node.p2p]` that hold the peers' addresses.
const PEERS: [&str; 2] = ["peers", "gossip_peers"];

/// A node, running or not.
#[derive(Debug)]
pub(super) struct Member {
    config: GridConfig,
    data: PathBuf,
    pub(super) running: Option<Grid>,
}

impl Member {
    /// Reads a home folder.
    pub(super) fn read(home: &Path) -> Result<Self, NodeError> {
        let table = File::read(home)?;
        let node = table.section("node")?;
        let config = GridConfig {
            home: home.to_owned(),
            rpc: table.text(node, "rpc")?.to_owned(),
            listen: table.text(node, "listen")?.to_owned(),
            command: vec![String::from("node"), String::from("run")],
            env: Vec::new(),
        };
        let data = node.get("data").and_then(Value::as_str).unwrap_or("node");
        Ok(Self { config, data: home.join(data), running: None })
    }

    /// How it is started.
    pub(super) const fn config(&self) -> &GridConfig {
        &self.config
    }

    /// The folder of its blocks, its state and its engine's log.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Its JSON-RPC, whether it runs or not.
    pub(super) fn rpc(&self) -> Rpc {
        Rpc::new(format!("http://{}", self.config.rpc))
    }

    /// The ports on which peers reach it.
    pub(super) fn listen_ports(&self) -> Result<[u16; 2], NodeError> {
        let file = File::read(&self.config.home)?;
        let p2p = file.p2p()?;
        let port = |key| {
            let address = file.text(p2p, key)?;
            tcp_port(address).ok_or_else(|| file.fault(format!("{key}: no port in {address}")))
        };
        let [consensus, gossip] = LISTEN;
        Ok([port(consensus)?, port(gossip)?])
    }

    /// Dials the peer at one port by way of another.
    pub(super) fn reroute(&self, port: u16, by: u16) -> Result<(), NodeError> {
        let mut file = File::read(&self.config.home)?;
        for key in PEERS {
            for peer in
                file.p2p_mut()?.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
            {
                if let Some(address) = peer.as_str()
                    && tcp_port(address) == Some(port)
                {
                    *peer = with_port(address, by).into();
                }
            }
        }
        file.write()
    }

    /// A copy of this home without its data, on four ports of its own.
    pub(super) fn twin(&self, home: &Path, port: u16) -> Result<Self, NodeError> {
        let copying = || NodeError::io(format!("copying {}", self.config.home.display()));
        copy(&self.config.home, home, &self.data).map_err(copying())?;
        let mut file = File::read(home)?;
        for (at, key) in (0..).zip(LISTEN) {
            let address = with_port(file.text(file.p2p()?, key)?, port + at);
            file.p2p_mut()?.insert(key.to_owned(), address.into());
        }
        for (at, key) in (2..).zip(["rpc", "listen"]) {
            let address = format!("127.0.0.1:{}", port + at);
            file.section_mut("node")?.insert(key.to_owned(), address.into());
        }
        file.write()?;
        Self::read(home)
    }

    /// Its validator key.
    pub(super) fn signer(&self) -> Result<PrivateKeySigner, NodeError> {
        let file = File::read(&self.config.home)?;
        let node = file.section("node")?;
        let path = |key, default| {
            self.config.home.join(node.get(key).and_then(Value::as_str).unwrap_or(default))
        };
        let (key, password) =
            (path("key", "keys/validator.json"), path("password_file", "keys/password"));
        let password =
            fs::read_to_string(password).map_err(|error| file.fault(error.to_string()))?;
        PrivateKeySigner::decrypt_keystore(&key, password.trim_end())
            .map_err(|error| file.fault(format!("{}: {error}", key.display())))
    }

    /// Makes it a validator: a new key, and the role. It must not run.
    pub(super) async fn promote(&self) -> Result<(), NodeError> {
        Grid::run(&self.config.home, &["keys", "new", "validator"]).await?;
        let mut file = File::read(&self.config.home)?;
        file.section_mut("node")?.insert("role".into(), "validator".into());
        file.write()
    }
}

/// A node's `grid.toml`.
#[derive(Debug)]
struct File {
    path: PathBuf,
    table: Table,
}

impl File {
    fn read(home: &Path) -> Result<Self, NodeError> {
        let path = home.join("grid.toml");
        let fault = |reason: String| NodeError::Config { file: path.clone(), reason };
        let text = fs::read_to_string(&path).map_err(|error| fault(error.to_string()))?;
        let table = text.parse().map_err(|error: toml::de::Error| fault(error.to_string()))?;
        Ok(Self { path, table })
    }

    fn write(&self) -> Result<(), NodeError> {
        fs::write(&self.path, self.table.to_string())
            .map_err(NodeError::io(format!("writing {}", self.path.display())))
    }

    fn fault(&self, reason: impl Into<String>) -> NodeError {
        NodeError::Config { file: self.path.clone(), reason: reason.into() }
    }

    fn section(&self, name: &str) -> Result<&Table, NodeError> {
        let section = self.table.get(name).and_then(Value::as_table);
        section.ok_or_else(|| self.fault(format!("no [{name}]")))
    }

    fn section_mut(&mut self, name: &str) -> Result<&mut Table, NodeError> {
        let fault = self.fault(format!("no [{name}]"));
        self.table.get_mut(name).and_then(Value::as_table_mut).ok_or(fault)
    }

    fn p2p(&self) -> Result<&Table, NodeError> {
        let p2p = self.section("node")?.get("p2p").and_then(Value::as_table);
        p2p.ok_or_else(|| self.fault("no [node.p2p]"))
    }

    fn p2p_mut(&mut self) -> Result<&mut Table, NodeError> {
        let fault = self.fault("no [node.p2p]");
        self.section_mut("node")?.get_mut("p2p").and_then(Value::as_table_mut).ok_or(fault)
    }

    fn text<'a>(&self, table: &'a Table, key: &str) -> Result<&'a str, NodeError> {
        table.get(key).and_then(Value::as_str).ok_or_else(|| self.fault(format!("no {key}")))
    }
}

/// The port of a multiaddress such as `/ip4/127.0.0.1/tcp/26656`.
fn tcp_port(address: &str) -> Option<u16> {
    let mut parts = address.split('/');
    parts.find(|part| *part == "tcp")?;
    parts.next()?.parse().ok()
}

/// A multiaddress with another port.
fn with_port(address: &str, port: u16) -> String {
    match tcp_port(address) {
        Some(old) => address.replacen(&format!("/tcp/{old}"), &format!("/tcp/{port}"), 1),
        None => address.to_owned(),
    }
}

/// Copies a folder without one of its folders.
fn copy(from: &Path, to: &Path, without: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if path == without {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name), without)?;
        } else {
            fs::copy(&path, to.join(name)).map(drop)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_multiaddresses_are_read_and_replaced() {
        let address = "/ip4/127.0.0.1/tcp/26656/p2p/12D3KooW";
        assert_eq!(tcp_port(address), Some(26_656));
        assert_eq!(with_port(address, 9), "/ip4/127.0.0.1/tcp/9/p2p/12D3KooW");
        assert_eq!(tcp_port("/ip4/127.0.0.1/udp/1"), None);
        assert_eq!(with_port("/memory/5", 9), "/memory/5");
    }
}
