//! The home folder: `grid.toml`, `genesis.json`, `trust.json`, `keys/` and the daemon's data.

use std::path::{Path, PathBuf};

use eyre::Result;

use crate::config::{self, Config};

/// A home folder and the paths in it.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.0.join("grid.toml")
    }

    pub(crate) fn genesis_file(&self) -> PathBuf {
        self.0.join("genesis.json")
    }

    /// Whom `grid verify` trusts unless told otherwise.
    pub(crate) fn trust_file(&self) -> PathBuf {
        self.0.join("trust.json")
    }

    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.0.join("keys")
    }

    pub(crate) fn password_file(&self) -> PathBuf {
        self.keys_dir().join("password")
    }

    /// A path of the configuration: relative ones start at the home folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }

    /// Reads the configuration with the environment's overrides.
    pub(crate) fn config(&self) -> Result<Config> {
        Ok(config::load(&self.config_file(), std::env::vars())?)
    }
}
