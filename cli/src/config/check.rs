//! What types alone cannot say about values: the tools of the sections' checks.

use std::path::{Path, PathBuf};

use super::{Config, Fault};

/// The faults of one section, each named by the section's path and a key.
pub(super) struct Faults<'a> {
    path: String,
    found: &'a mut Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(super) const fn of(path: String, found: &'a mut Vec<Fault>) -> Self {
        Self { path, found }
    }

    /// The faults of a section inside of this one.
    pub(super) fn inside(&mut self, key: &str) -> Faults<'_> {
        Faults { path: format!("{}.{key}", self.path), found: self.found }
    }

    /// Notes a fault.
    pub(super) fn note(&mut self, key: &str, message: impl Into<String>) {
        self.found.push(Fault::new(format!("{}.{key}", self.path), message));
    }

    /// Notes a value that is no HTTP address.
    pub(super) fn http_url(&mut self, key: &str, text: &str) {
        if let Err(message) = http_url(text) {
            self.note(key, message);
        }
    }

    /// Notes an empty path.
    pub(super) fn file(&mut self, key: &str, file: &Path) {
        if file.as_os_str().is_empty() {
            self.note(key, "names no file");
        }
    }

    /// Notes logins that are neither a cookie file, nor user and password, nor nothing.
    pub(super) fn login(
        &mut self,
        cookie_file: &Option<PathBuf>,
        user: &Option<String>,
        password_file: &Option<PathBuf>,
    ) {
        if user.is_some() != password_file.is_some() {
            self.note("user", "user and rpc_password_file go together");
        }
        if user.is_some() && cookie_file.is_some() {
            self.note("cookie_file", "give either a cookie file or a user, not both");
        }
    }
}

/// Every fault of a configuration.
pub(crate) fn faults(config: &Config) -> Vec<Fault> {
    let mut found = Vec::new();
    config.node.check(&mut found);
    config.relayer.check(&mut Faults::of("relayer".into(), &mut found));
    config.log.check(&mut Faults::of("log".into(), &mut found));
    if config.node.rpc == config.relayer.listen {
        found.push(Fault::new("relayer.listen", "must differ from node.rpc"));
    }
    let admin = &config.relayer.admin;
    let taken = [config.relayer.listen, config.node.rpc].contains(&admin.listen);
    if admin.token_file.is_some() && taken && admin.listen.port() != 0 {
        let text = "must differ from relayer.listen and node.rpc";
        found.push(Fault::new("relayer.admin.listen", text));
    }
    for (n, chain) in config.chains.iter().enumerate() {
        let mut faults = Faults::of(format!("chain[{n}]"), &mut found);
        if config.chains.iter().take(n).any(|other| other.id == chain.id) {
            faults.note("id", format!("{} is configured twice", chain.id));
        }
        chain.check(&mut faults);
    }
    found
}

fn http_url(text: &str) -> Result<(), String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or_else(|| format!("{text:?} must begin with http:// or https://"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return Err(format!("{text:?} names no host"));
    }
    if authority.contains('@') {
        return Err("credentials do not belong in an address; use cookie_file, or user and rpc_password_file".into());
    }
    Ok(())
}

/// A default of `true`.
pub(super) const fn yes() -> bool {
    true
}
