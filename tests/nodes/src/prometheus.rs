//! Prometheus, from Debian's package: scrapes the daemon in tests of its metrics and alert rules.

use std::{path::PathBuf, time::Duration};

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

/// A running Prometheus server that scrapes the given addresses each second.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    port: u16,
    _folder: Folder,
}

impl Prometheus {
    /// Starts a server that scrapes `targets` (host and port), with the given rule files.
    ///
    /// # Errors
    /// [`NodeError::ProgramMissing`] (`scripts/setup-nodes --with-prometheus` installs it),
    /// [`NodeError::Ended`] or [`NodeError::NotReady`].
    pub async fn start(targets: &[String], rules: &[PathBuf]) -> Result<Self, NodeError> {
        let folder = Folder::new(None)?;
        let port = ports::free()?;
        // JSON is YAML: no second format to get wrong.
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": rules,
            "scrape_configs": [{ "job_name": "grid", "static_configs": [{ "targets": targets }] }],
        });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string())
            .map_err(NodeError::io(format!("writing {}", file.display())))?;
        let mut process = Process::start(&Spec {
            name: String::from("prometheus"),
            program: programs::prometheus()?,
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

    /// Evaluates an expression; returns the `result` list of the answer. Only names of metrics and
    /// label matchers without characters that a URL reserves.
    ///
    /// # Errors
    /// [`NodeError::Transport`] or [`NodeError::Unexpected`].
    pub async fn query(&self, expression: &str) -> Result<Value, NodeError> {
        let url = format!("http://127.0.0.1:{}/api/v1/query?query={expression}", self.port);
        let (_, answer) = rpc::get(&url).await?;
        match serde_json::from_str::<Value>(&answer) {
            Ok(mut json) if json["status"] == "success" => Ok(json["data"]["result"].take()),
            _ => Err(NodeError::Unexpected { method: url, answer }),
        }
    }
}
