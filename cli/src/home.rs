//! The home folder: `grid.toml`, `genesis.json`, `trust.json`, `keys/` and the daemon's data.

use std::path::{Path, PathBuf};

use eyre::Result;

use crate::config::{self, Config, ConfigError, Loaded, Overrides};

/// A home folder and the paths in it.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
    /// `--set PATH=VALUE`.
    settings: Vec<String>,
}

impl Home {
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir, settings: Vec::new() }
    }

    /// With values that go before those of its configuration file.
    pub(crate) fn with_settings(self, settings: Vec<String>) -> Self {
        Self { settings, ..self }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.join("grid.toml")
    }

    pub(crate) fn genesis_file(&self) -> PathBuf {
        self.dir.join("genesis.json")
    }

    /// Whom `grid verify` trusts unless told otherwise.
    pub(crate) fn trust_file(&self) -> PathBuf {
        self.dir.join("trust.json")
    }

    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.dir.join("keys")
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.keys_dir().join("password")
    }

    /// A path of the configuration: relative ones start at the home folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// Reads the configuration with the overrides of environment and command line.
    pub(crate) fn config(&self) -> Result<Config> {
        Ok(self.load()?.config)
    }

    /// As [`Self::config`], with the origin of each value.
    pub(crate) fn load(&self) -> Result<Loaded, ConfigError> {
        config::load(&self.config_file(), &Overrides::new(self.settings.clone()))
    }
}
