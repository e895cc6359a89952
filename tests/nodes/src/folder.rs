//! A node's data folder: temporary, or the caller's.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::NodeError;

/// Where a node keeps its data and its log.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Removed with the node; absent when the caller named the folder.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// The given folder, made if it is absent and kept afterwards; or a temporary one, removed when
    /// the value is dropped.
    ///
    /// # Errors
    /// [`NodeError::Io`] when it cannot be made.
    pub fn new(given: Option<&Path>) -> Result<Self, NodeError> {
        if let Some(path) = given {
            std::fs::create_dir_all(path)
                .map_err(NodeError::io(format!("making the folder {}", path.display())))?;
            let path = path
                .canonicalize()
                .map_err(NodeError::io(format!("finding the folder {}", path.display())))?;
            return Ok(Self { path, _temporary: None });
        }
        let temporary = tempfile::Builder::new()
            .prefix("grid-node-")
            .tempdir()
            .map_err(NodeError::io("making a temporary folder"))?;
        Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
