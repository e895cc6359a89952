//! The node's libp2p identity.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use libp2p::identity::Keypair;

use super::GossipError;

/// Reads the key, or makes one.
pub(super) fn load(path: &Path) -> Result<Keypair, GossipError> {
    let failed = |source| GossipError::Key { path: path.to_owned(), source };
    let invalid = |error: &dyn std::fmt::Display| {
        failed(io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    };
    match fs::read(path) {
        Ok(bytes) => Keypair::from_protobuf_encoding(&bytes).map_err(|error| invalid(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let keypair = Keypair::generate_ed25519();
            let bytes = keypair.to_protobuf_encoding().map_err(|error| invalid(&error))?;
            write(path, &bytes).map_err(failed)?;
            Ok(keypair)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home").join("gossip.key");
        let made = load(&path).unwrap().public();
        assert_eq!(load(&path).unwrap().public(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, b"no key").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("gossip.key"), "{error}");
    }
}
