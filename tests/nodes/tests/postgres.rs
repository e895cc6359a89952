//! PostgreSQL under this library's control.

use std::time::Duration;

use grid_test_nodes::{Postgres, wait_for};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn data_survives_a_restart_and_a_kill_and_databases_are_apart() {
    let mut server = Postgres::start().await.expect("start");
    server.sql("grid", "CREATE TABLE notes (n INT); INSERT INTO notes VALUES (7)").expect("write");
    let other = server.database().expect("database");
    assert!(other.starts_with("postgres://grid@127.0.0.1:"), "{other}");
    let name = other.rsplit('/').next().expect("a name").to_owned();
    server.sql(&name, "SELECT * FROM notes").expect_err("an empty database");
    server.restart().await.expect("restart");
    assert_eq!(server.sql("grid", "SELECT n FROM notes").expect("read"), "7");
    server.kill().expect("kill");
    server.sql("grid", "SELECT 1").expect_err("nobody is there");
    server.start_again().await.expect("start again");
    assert_eq!(server.sql("grid", "SELECT n FROM notes").expect("read"), "7");
}

#[tokio::test]
async fn it_ends_with_its_value_and_leaves_nothing() {
    let mut server = Postgres::start().await.expect("start");
    let (folder, id) = (server.socket().to_owned(), server.process().id());
    drop(server);
    assert!(!folder.exists(), "{} is left", folder.display());
    let gone = || async move {
        let there = std::path::Path::new("/proc").join(id.to_string()).exists();
        (!there).then_some(()).ok_or_else(|| format!("process {id} is there"))
    };
    wait_for("the end of the server", LIMIT, gone).await.expect("no orphan");
}
