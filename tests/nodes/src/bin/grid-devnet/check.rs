//! The unattended run: the tour's commands against a network of its own.

use std::{cell::RefCell, path::Path, time::Duration};

use grid_test_nodes::{
    NodeError,
    process::{Process, Spec, tail},
};

use crate::{
    network::{Daemon, Failure, Network, stop_signal},
    screen::{self, Status},
    settings::{Ports, Settings},
    tour,
    traffic::Counters,
};

/// How long the tour may take; its proofs wait for confirmations.
const TOUR: Duration = Duration::from_secs(600);
/// How long the whole check may take: start, first headers, tour, stop.
const WHOLE: Duration = Duration::from_secs(900);

/// Runs the tour; fails with what failed.
pub(crate) async fn run() -> Result<(), Failure> {
    let stop = stop_signal()?;
    tokio::select! {
        outcome = tokio::time::timeout(WHOLE, check()) => outcome.unwrap_or_else(|_| {
            Err(Failure::Text(format!("the check did not end within {WHOLE:?}")))
        }),
        () = stop => Err(Failure::Text(String::from("the check was stopped"))),
    }
}

async fn check() -> Result<(), Failure> {
    let root = Settings::root()?;
    let readme = std::fs::read_to_string(root.join("README.md"))
        .map_err(|error| Failure::Text(format!("README.md: {error}")))?;
    let commands = tour::commands(&readme);
    if commands.is_empty() {
        return Err(Failure::Text(String::from(
            "README.md has no commands below its heading `## Tour`",
        )));
    }
    // A new folder, so that the tour is walked as a newcomer walks it.
    let scratch = tempfile::Builder::new()
        .prefix("grid-devnet-")
        .tempdir()
        .map_err(|error| Failure::Text(format!("making a folder: {error}")))?;
    let settings = Settings { folder: scratch.path().join("devnet"), ports: Ports::free()? };
    let network = Network::up(settings.clone(), Daemon::Fail).await?;
    let counters = RefCell::new(Counters::default());
    let walked = network
        .with_traffic(&counters, async {
            screen::wait_indexed(&network, false).await?;
            let count = walk(&network, &commands, scratch.path()).await?;
            Ok((count, Status::read(&network).await?))
        })
        .await;
    if walked.is_err() {
        println!("end of the daemon's log:\n{}", tail(&network.settings.home().join("daemon.log")));
    }
    let stopped = network.down().await;
    let (count, before) = walked?;
    stopped?;
    println!("devnet check: {count} commands of the tour passed");
    second_start(settings, &before).await
}

/// A second start goes on where the first stopped.
async fn second_start(settings: Settings, before: &Status) -> Result<(), Failure> {
    let network = Network::up(settings, Daemon::Fail).await?;
    let outcome = Status::read(&network).await;
    network.down().await?;
    let after = outcome?;
    if !after.continues(before) {
        return Err(Failure::Text(format!(
            "the second start did not go on from the first: before {before:?}, after {after:?}"
        )));
    }
    println!("devnet check: a second start went on from there");
    Ok(())
}

/// Runs the commands; returns how many.
async fn walk(network: &Network, commands: &[String], scratch: &Path) -> Result<usize, Failure> {
    let settings = &network.settings;
    let here: Vec<String> = commands.iter().map(|command| adapt(command, settings)).collect();
    let (folder, progress) = (scratch.join("tour"), scratch.join("progress"));
    let file = scratch.join("tour.sh");
    settings.write(&file, &tour::script(&here, &progress.display().to_string()))?;
    settings.write(&folder.join(".keep"), "")?;
    let mut process = Process::start(&Spec {
        name: String::from("the tour"),
        program: "timeout".into(),
        args: vec![TOUR.as_secs().to_string().into(), "bash".into(), file.into()],
        env: Vec::new(),
        folder,
        log: scratch.join("tour.log"),
    })?;
    let status = process.wait(TOUR + Duration::from_secs(10)).await;
    let output = std::fs::read_to_string(process.log()).unwrap_or_default();
    println!("{output}");
    let passed = std::fs::read_to_string(&progress).unwrap_or_default().lines().count();
    match status {
        Ok(status) if status.success() && passed == here.len() => Ok(passed),
        Ok(status) => Err(Failure::Node(NodeError::Command {
            command: here.get(passed).cloned().unwrap_or_default(),
            status: format!("{status}; {passed} of {} commands passed before it", here.len()),
            output: tail(process.log()),
        })),
        Err(error) => Err(error.into()),
    }
}

/// The README names the well-known ports and folder; this run has its own.
fn adapt(command: &str, settings: &Settings) -> String {
    let mut command = command.to_owned();
    for ((_, known), (_, own)) in Ports::DEFAULT.named().iter().zip(settings.ports.named()) {
        command = command.replace(&format!(":{known}"), &format!(":{own}"));
    }
    let folder = settings.folder.display().to_string();
    command.replace("./.devnet/", ".devnet/").replace(".devnet/", &format!("{folder}/"))
}
