//! A real Prometheus with the repository's rules watches the run: at its end nobody may be woken without need.

use std::{path::Path, time::Duration};

use grid_test_nodes::{NodeError, prometheus::Prometheus, wait_for};
use serde_json::Value;

use crate::{relayer::Relayer, world::World};

/// How long alerts may take to see that all is well again: a few evaluations.
const CALM: Duration = Duration::from_secs(60);
/// Pages that stay for half an hour after what they tell of, and are right to: somebody has to learn that the daemon
/// was started again and again, and that headers which were confirmed were taken back.
const DESERVED: &str = "GridRestarting|GridIndexReverted";

/// Prometheus, where it is installed.
#[derive(Debug)]
pub(crate) struct Alerts(Option<Prometheus>);

impl Alerts {
    /// Watches all relayers and the node.
    pub(crate) async fn start(world: &World) -> Result<Self, NodeError> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prometheus");
        let relayers: Vec<String> = world.relayers.iter().map(Relayer::target).collect();
        let nodes = [world.node.config().listen.clone()];
        match Prometheus::start(&config, &relayers, &nodes).await {
            Ok(server) => Ok(Self(Some(server))),
            Err(NodeError::ProgramMissing { .. }) => {
                println!("SKIPPED: no Prometheus here; scripts/setup-nodes --with-prometheus");
                Ok(Self(None))
            }
            Err(error) => Err(error),
        }
    }

    /// No page fires or is about to, but those that are deserved. Tells what it saw, for the summary.
    pub(crate) async fn stay_quiet(&self) -> Result<Vec<String>, NodeError> {
        let Some(server) = &self.0 else {
            return Ok(vec!["alerts             not watched".into()]);
        };
        let pages = format!("ALERTS{{severity=\"page\",alertname!~\"{DESERVED}\"}}");
        wait_for("quiet alerts", CALM, async || {
            let found = server.query(&pages).await.map_err(|error| error.to_string())?;
            if found.as_array().is_some_and(Vec::is_empty) {
                Ok(())
            } else {
                Err(found.to_string())
            }
        })
        .await?;
        let fired = "count by (alertname) (count_over_time(ALERTS{alertstate=\"firing\"}[2h]))";
        let memory = "max by (instance) (max_over_time(process_resident_memory_bytes[2h])) / 1e6";
        let fired = server.query(fired).await?;
        let memory = server.query(memory).await?;
        Ok(vec![
            format!("alerts that fired  {}", values(&fired, "alertname").join(", ")),
            "pages at the end   none but those that tell of the restarts and reverted headers"
                .into(),
            format!("most memory, MB    {}", values(&memory, "instance").join(", ")),
        ])
    }
}

/// `label: value` of each result.
fn values(result: &Value, label: &str) -> Vec<String> {
    let shown = |one: &Value| {
        let name = one["metric"][label].as_str().unwrap_or_default().to_owned();
        let value = one["value"][1].as_str().unwrap_or_default().parse::<f64>().unwrap_or_default();
        format!("{name} {value:.0}")
    };
    result.as_array().into_iter().flatten().map(shown).collect()
}
