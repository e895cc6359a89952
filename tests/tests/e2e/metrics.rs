//! The daemon's HTTP interface, as Prometheus sees it.

use std::{path::PathBuf, time::Duration};

use grid_test_nodes::{NodeError, prometheus::Prometheus, wait_for};

use crate::world::World;

#[tokio::test]
async fn prometheus_scrapes_the_daemon() {
    let world = World::start().await;
    world.wait_indexed().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(world.grid.get(path).await.expect("an answer").0, 200, "{path}");
    }
    let (status, metrics) = world.grid.get("/metrics").await.expect("an answer");
    assert_eq!(status, 200);
    assert!(metrics.contains("grid_build_info{"), "{metrics}");

    let targets = [world.grid.config().listen.clone()];
    let server = match Prometheus::start(&targets, &Vec::<PathBuf>::new()).await {
        Err(NodeError::ProgramMissing { .. }) => {
            println!("SKIPPED: no Prometheus here; scripts/setup-nodes --with-prometheus");
            return;
        }
        other => other.expect("prometheus"),
    };
    wait_for("a scrape", Duration::from_secs(60), || async {
        let result = server.query("grid_build_info").await.map_err(|error| error.to_string())?;
        match result.as_array() {
            Some(series) if series.len() == 1 => Ok(()),
            _ => Err(result.to_string()),
        }
    })
    .await
    .expect("Prometheus reads the metrics");
}
