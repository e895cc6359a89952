//! `[relayer.admin]`: the routes that change something.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// `[relayer.admin]`: where administration is served, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdminSection {
    /// Its address. The connection is not encrypted: leave it on the loopback interface.
    pub(crate) listen: SocketAddr,
    /// File with the token (one line, at least 16 characters; mode 600). Without one there is no administration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9642)), token_file: None }
    }
}
