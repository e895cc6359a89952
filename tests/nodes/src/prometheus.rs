//! Prometheus, from Debian's package: scrapes the daemon in tests of its metrics and alert rules.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use serde_json::Value;

use crate::{
    NodeError,
    folder::Folder,
    ports,
    process::{Process, Spec},
    programs, rpc,
};

/// How long a start may take.
const READY: Duration = Duration::from_secs(60);

/// The repository's configuration scrapes every 15 s; a test does not wait that long.
const CLOCK: [(&str, &str); 3] = [
    ("scrape_interval: 15s", "scrape_interval: 1s"),
    ("scrape_timeout: 10s", "scrape_timeout: 1s"),
    ("evaluation_interval: 15s", "evaluation_interval: 1s"),
];

/// A running Prometheus server.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    port: u16,
    _folder: Folder,
}

impl Prometheus {
    /// Starts a server with a copy of the configuration in `config` (`prometheus.yml` and `rules/`), whose clock is
    /// faster and whose jobs scrape these targets (host and port) and nothing else: `grid` daemons with a relayer,
    /// `grid-nodes` nodes that run alone.
    ///
    /// # Errors
    /// [`NodeError::ProgramMissing`] (`scripts/setup-nodes --with-prometheus` installs it), [`NodeError::Io`] for
    /// the configuration, [`NodeError::Ended`] or [`NodeError::NotReady`].
    pub async fn start(
        config: &Path,
        relayers: &[String],
        nodes: &[String],
    ) -> Result<Self, NodeError> {
        let program = programs::prometheus()?;
        let folder = Folder::new(None)?;
        let port = ports::free()?;
        let file = copy(config, folder.path(), &[("grid", relayers), ("nodes", nodes)])
            .map_err(NodeError::io(format!("copying {}", config.display())))?;
        let mut process = Process::start(&Spec {
            name: String::from("prometheus"),
            program,
            args: vec![
                format!("--config.file={}", file.display()).into(),
                format!("--storage.tsdb.path={}", folder.path().join("data").display()).into(),
                format!("--web.listen-address=127.0.0.1:{port}").into(),
            ],
            env: Vec::new(),
            folder: folder.path().to_owned(),
            log: folder.path().join("prometheus.log"),
        })?;
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        process
            .wait_ready(READY, || async {
                match rpc::get(&ready).await? {
                    (200, _) => Ok(()),
                    (_, answer) => Err(NodeError::Unexpected { method: ready.clone(), answer }),
                }
            })
            .await?;
        Ok(Self { process, port, _folder: folder })
    }

    /// The process, for looking at its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Evaluates an expression; returns the `result` list of the answer.
    ///
    /// # Errors
    /// [`NodeError::Transport`] or [`NodeError::Unexpected`].
    pub async fn query(&self, expression: &str) -> Result<Value, NodeError> {
        let mut data = self.ask(&format!("query?query={}", encode(expression))).await?;
        Ok(data["result"].take())
    }

    /// Every rule that is loaded, with its health and state.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn rules(&self) -> Result<Vec<Value>, NodeError> {
        let data = self.ask("rules").await?;
        let groups = data["groups"].as_array().cloned().unwrap_or_default();
        let rules = |group: Value| group["rules"].as_array().cloned().unwrap_or_default();
        Ok(groups.into_iter().flat_map(rules).collect())
    }

    /// The `data` of an answer of the API.
    async fn ask(&self, path: &str) -> Result<Value, NodeError> {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let (_, answer) = rpc::get(&url).await?;
        match serde_json::from_str::<Value>(&answer) {
            Ok(mut json) if json["status"] == "success" => Ok(json["data"].take()),
            _ => Err(NodeError::Unexpected { method: url, answer }),
        }
    }
}

/// Copies the configuration and names the targets; returns the copy of `prometheus.yml`.
fn copy(
    config: &Path,
    to: &Path,
    targets: &[(&str, &[String])],
) -> std::io::Result<std::path::PathBuf> {
    let mut text = fs::read_to_string(config.join("prometheus.yml"))?;
    for (slow, fast) in CLOCK {
        if !text.contains(slow) {
            return Err(std::io::Error::other(format!("prometheus.yml does not say {slow}")));
        }
        text = text.replace(slow, fast);
    }
    fs::create_dir_all(to.join("rules"))?;
    fs::create_dir_all(to.join("targets"))?;
    for entry in fs::read_dir(config.join("rules"))? {
        let rules = entry?;
        fs::copy(rules.path(), to.join("rules").join(rules.file_name()))?;
    }
    for (file, targets) in targets {
        // JSON is YAML.
        let found = serde_json::json!([{ "targets": targets }]);
        fs::write(to.join("targets").join(format!("{file}.yml")), found.to_string())?;
    }
    let file = to.join("prometheus.yml");
    fs::write(&file, text)?;
    Ok(file)
}

/// A text as a part of a URL's query.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(encode("a{b=\"c\"} > 1"), "a%7Bb%3D%22c%22%7D%20%3E%201");
    }
}
