//! Keys, passwords and tokens: there, private, and the right ones.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Finding, Site};
use crate::{
    args::Daemon,
    config::{ADMIN_TOKEN, NodeRole},
    keys::{self, PASSWORD_VARIABLE},
    sources,
};

/// The keys open with their passwords.
pub(super) async fn keys(site: &Site<'_>) -> Vec<Finding> {
    let (home, config) = (site.home, site.config);
    let mut wanted = vec![("relayer", &config.relayer.key, &config.relayer.password_file)];
    if site.daemon == Daemon::Start && config.node.role == NodeRole::Validator {
        wanted.push(("node", &config.node.key, &config.node.password_file));
    }
    let mut opening = Vec::new();
    for (section, key, password_file) in wanted {
        let (key, password_file) = (home.resolve(key), home.resolve(password_file));
        // Opening a key takes a second of work on purpose.
        opening.push(tokio::task::spawn_blocking(move || open(section, &key, &password_file)));
    }
    let mut findings = Vec::new();
    for opened in opening {
        findings.extend(opened.await.unwrap_or_default());
    }
    findings
}

fn open(section: &str, key: &Path, password_file: &Path) -> Vec<Finding> {
    let path = format!("{section}.key");
    let password = if password_file.exists() || std::env::var_os(PASSWORD_VARIABLE).is_some() {
        keys::password(Some(password_file)).map_err(|error| format!("{error:#}"))
    } else {
        Err(format!("neither {PASSWORD_VARIABLE} is set nor is there {}", password_file.display()))
    };
    let password = match password {
        Ok(password) => password,
        Err(reason) => {
            let expected = "the password of the key, in a file that only its owner can read";
            let fix = format!("put it there (mode 600), or into {PASSWORD_VARIABLE}");
            let path = format!("{section}.password_file");
            return vec![Finding::problem("password", path, expected, reason, fix)];
        }
    };
    let mut findings: Vec<Finding> =
        private(&path, key).map(Finding::only_a_warning).into_iter().collect();
    findings.push(match keys::open(key, &password) {
        Ok(signer) => Finding::good("key", path, format!("opens: {}", signer.address())),
        Err(error) => {
            let fix = format!("correct {section}.password_file or {section}.key");
            Finding::problem("key", path, "a key that its password opens", error.to_string(), fix)
        }
    });
    findings
}

/// Passwords and tokens of others.
pub(super) fn files(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in site.config.relayer.token_files() {
        let resolved = site.home.resolve(file);
        match sources::token(site.home, file, &path) {
            Ok(_) => findings.push(Finding::good("token", &path, resolved.display().to_string())),
            Err(error) => {
                let expected = "a file with one token";
                let fix = "write one with `openssl rand -hex 32` (mode 600)";
                findings.push(Finding::problem(
                    "token",
                    &path,
                    expected,
                    format!("{error:#}"),
                    fix,
                ));
            }
        }
        let open = private(&path, &resolved);
        // The daemon does not start with a token of administration that others can read.
        findings.extend(open.map(
            |found| {
                if path == ADMIN_TOKEN { found } else { found.only_a_warning() }
            },
        ));
    }
    for (n, chain) in site.config.chains.iter().enumerate() {
        for file in chain.secret_files() {
            let path = format!("chain[{n}]");
            let resolved: PathBuf = site.home.resolve(file);
            if let Err(error) = fs::read_to_string(&resolved) {
                let found = format!("{}: {error}", resolved.display());
                let fix = "write the secret there (mode 600), or correct the path";
                findings.push(Finding::problem("secret", &path, "a readable file", found, fix));
            }
            findings.extend(private(&path, &resolved).map(Finding::only_a_warning));
        }
    }
    findings
}

/// A finding for a file that others can read; nothing for one that is not there.
fn private(path: &str, file: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(file).ok()?.permissions().mode() & 0o777;
    let name = file.display();
    (mode & 0o077 != 0).then(|| {
        let found = format!("{name} has mode {mode:o}: others can read it");
        let fix = format!("chmod 600 {name}");
        Finding::problem("permissions", path, "mode 600", found, fix)
    })
}
