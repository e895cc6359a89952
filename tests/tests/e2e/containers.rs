//! docker/prepare and the settings of docker/compose.yml, with the real program and real nodes: no engine runs here, but what the
//! containers start from is made and read by the same program.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use grid_test_nodes::programs;
use serde_json::Value;
use tokio::process::Command;

use crate::world::Chains;

/// Where the image has its home.
const HOME: &str = "/var/lib/grid";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The volumes that the services of the image share, as folders.
struct Volumes {
    folder: tempfile::TempDir,
}

impl Volumes {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a service sees at the image's home.
    fn home(&self, service: &Value) -> Option<PathBuf> {
        let volumes = property(service, "volumes").as_array()?;
        volumes.iter().find_map(|volume| match volume.as_str() {
            Some(short) => {
                let (source, target) = short.split_once(':')?;
                target.starts_with(HOME).then(|| self.path(source))
            }
            None if volume["target"] == HOME => {
                let inside = volume["volume"]["subpath"].as_str()?;
                Some(self.path(volume["source"].as_str()?).join(inside))
            }
            None => None,
        })
    }

    /// Runs docker/prepare as the service of that name does, but against these nodes.
    async fn prepare(&self, chains: &Chains) -> String {
        let cookie = chains.bitcoind.cookie_file();
        let (bitcoin, ethereum) = (chains.bitcoind.url(), chains.anvil.url());
        let init = format!(
            "--bitcoin regtest={bitcoin} --bitcoin-cookie {} --ethereum {ethereum}",
            cookie.display()
        );
        let grid = programs::grid().expect("grid");
        let path = std::env::var("PATH").unwrap_or_default();
        let folder = grid.parent().expect("a folder").display();
        let output = Command::new(repository("docker/prepare"))
            .env("PATH", format!("{folder}:{path}"))
            .env("GRID_HOME", self.path("grid"))
            .env("GRID_NET", self.path("localnet"))
            .env("GRID_POSTGRES_SECRET", self.path("secret"))
            .env("GRID_INIT", init)
            .output()
            .await
            .expect("bash");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}

/// A property of a service or of what it merges.
fn property<'a>(service: &'a Value, name: &str) -> &'a Value {
    match (service.get(name), service.get("<<")) {
        (Some(value), _) => value,
        (None, Some(merged)) => property(merged, name),
        (None, None) => &Value::Null,
    }
}

#[tokio::test]
async fn what_containers_start_from_is_made_once_and_every_service_accepts_it() {
    let chains = Chains::start().await;
    let volumes = Volumes { folder: tempfile::tempdir().expect("folder") };
    fs::create_dir_all(volumes.path("grid")).expect("volume");
    fs::create_dir_all(volumes.path("localnet")).expect("volume");
    fs::write(volumes.path("secret"), "a password").expect("secret");
    assert!(volumes.prepare(&chains).await.ends_with("prepared\n"));
    let genesis = fs::read(volumes.path("localnet/net/genesis.json")).expect("genesis");
    let home = fs::read(volumes.path("grid/genesis.json")).expect("genesis");
    assert_eq!(volumes.prepare(&chains).await, "prepared\n", "nothing is made twice");
    assert_eq!(fs::read(volumes.path("localnet/net/genesis.json")).expect("genesis"), genesis);
    assert_eq!(fs::read(volumes.path("grid/genesis.json")).expect("genesis"), home);
    let password = fs::metadata(volumes.path("grid/keys/postgres-password")).expect("password");
    let mode = std::os::unix::fs::PermissionsExt::mode(&password.permissions());
    assert_eq!(mode & 0o777, 0o600, "for the daemon alone");

    let text = fs::read_to_string(repository("docker/compose.yml")).expect("compose.yml");
    let compose: Value = serde_saphyr::from_str(&text).expect("YAML");
    let mut checked = 0;
    for (name, service) in compose["services"].as_object().expect("services") {
        let ours = property(service, "image").as_str().is_some_and(|tag| tag.starts_with("grid:"));
        if !ours || name == "prepare" {
            continue;
        }
        let home = volumes.home(service).unwrap_or_else(|| panic!("{name} has no home"));
        let shown = show(name, &home, property(service, "environment")).await;
        assert!(shown["chain"].is_array() || name.starts_with("node"), "{name}: {shown}");
        checked += 1;
    }
    assert_eq!(checked, 7, "four nodes, two relayers, one process");
}

/// `grid config check` and `config show` of a service.
async fn show(name: &str, home: &Path, environment: &Value) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let variables: BTreeMap<&String, String> =
        environment.as_object().into_iter().flatten().map(|(k, v)| (k, text(v))).collect();
    let mut shown = Value::Null;
    for command in ["check", "show"] {
        let output = Command::new(programs::grid().expect("grid"))
            .arg("--home")
            .arg(home)
            .args(["--json", "config", command])
            .envs(&variables)
            .output()
            .await
            .expect("grid");
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {answer}{errors}");
        shown = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{name}: {e}: {answer}"));
    }
    shown
}
