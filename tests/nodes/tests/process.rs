//! Processes end with the one that started them.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use grid_test_nodes::{
    NodeError,
    process::{Process, Spec},
    wait_for,
};

/// Set in the child of [`a_killed_test_leaves_no_orphan`]: the folder to run in.
const INNER: &str = "GRID_TEST_NODES_INNER";

fn sleeper(folder: &Path, script: &str) -> Spec {
    Spec {
        name: String::from("sleeper"),
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        folder: folder.to_owned(),
        log: folder.join("sleeper.log"),
    }
}

fn runs(id: u32) -> bool {
    // A process that has ended but was not collected yet shows as a zombie, state Z.
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

#[tokio::test]
async fn dropping_kills() {
    let folder = tempfile::tempdir().expect("folder");
    let process = Process::start(&sleeper(folder.path(), "exec sleep 600")).expect("start");
    let id = process.id();
    assert!(runs(id));
    drop(process);
    assert!(!runs(id));
}

#[tokio::test]
async fn an_orderly_stop_waits_and_then_kills() {
    let folder = tempfile::tempdir().expect("folder");
    let obeys = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    let mut process = Process::start(&sleeper(folder.path(), obeys)).expect("start");
    let log = process.log().to_owned();
    wait_for("the trap", Duration::from_secs(10), || async {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.contains("ready") { Ok(()) } else { Err(text) }
    })
    .await
    .expect("ready");
    let status = process.stop(Duration::from_secs(10)).await.expect("stops");
    assert_eq!(status.code(), Some(3));
    assert!(process.log_tail().contains("bye"));

    let deaf = sleeper(folder.path(), "trap '' TERM; echo deaf; while :; do sleep 0.1; done");
    let mut process = Process::start(&deaf).expect("start");
    wait_for("the trap", Duration::from_secs(10), || async {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.contains("deaf") { Ok(()) } else { Err(text) }
    })
    .await
    .expect("deaf");
    let id = process.id();
    let outcome = process.stop(Duration::from_millis(300)).await;
    assert!(matches!(outcome, Err(NodeError::Deadline { .. })), "{outcome:?}");
    assert!(!runs(id));
}

#[tokio::test]
async fn an_early_end_is_told_with_the_log() {
    let folder = tempfile::tempdir().expect("folder");
    let spec = sleeper(folder.path(), "echo the reason >&2; exit 7");
    let mut process = Process::start(&spec).expect("start");
    let outcome = process
        .wait_ready(Duration::from_secs(10), || async {
            Err::<(), _>(NodeError::Unexpected { method: String::new(), answer: String::new() })
        })
        .await;
    let text = outcome.expect_err("it ends").to_string();
    assert!(text.contains("the reason") && text.contains('7'), "{text}");
}

/// Runs itself as another process, which starts a sleeper from a short-lived thread and reports its
/// id; that thread's end must not kill the sleeper, and the process's violent end must.
#[test]
fn a_killed_test_leaves_no_orphan() {
    if let Some(folder) = std::env::var_os(INNER) {
        let starter = std::thread::spawn(move || {
            Process::start(&sleeper(Path::new(&folder), "exec sleep 600")).expect("start")
        });
        let process = starter.join().expect("the thread that starts");
        println!("\nsleeper {}", process.id());
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let mut inner = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_killed_test_leaves_no_orphan", "--nocapture"])
        .env(INNER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("inner test");
    let output = BufReader::new(inner.stdout.take().expect("output"));
    let id: u32 = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("sleeper ").and_then(|id| id.parse().ok()))
        .expect("the sleeper's id");
    assert!(runs(id), "the starting thread's end killed the sleeper");
    inner.kill().expect("kill");
    inner.wait().expect("wait");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    runtime
        .block_on(wait_for("the sleeper's end", Duration::from_secs(10), || async move {
            if runs(id) { Err(String::from("runs")) } else { Ok(()) }
        }))
        .expect("no orphan");
}
