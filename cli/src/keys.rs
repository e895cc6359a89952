//! Encrypted keys: the keystore format that Ethereum tools use (scrypt, AES-128-CTR).

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr as _, bail, eyre};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Environment variable with the password of the daemon's keys.
pub(crate) const PASSWORD_VARIABLE: &str = "GRID_KEY_PASSWORD";

/// One key file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeyInfo {
    /// File name without `.json`.
    pub(crate) name: String,
    /// Its Ethereum-style address.
    pub(crate) address: Address,
    /// The file.
    pub(crate) file: PathBuf,
}

/// The part of a keystore file that is readable without its password.
#[derive(Deserialize)]
struct PublicPart {
    address: Address,
}

/// Where a password comes from: the environment, else a file, else the terminal.
pub(crate) fn password(file: Option<&Path>) -> Result<Zeroizing<String>> {
    if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
        return Ok(Zeroizing::new(password));
    }
    if let Some(file) = file.filter(|file| file.exists()) {
        refuse_readable_by_others("the password file", file)?;
        let text = Zeroizing::new(
            fs::read_to_string(file)
                .wrap_err_with(|| format!("cannot read the password file {}", file.display()))?,
        );
        return Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    if std::io::stdin().is_terminal() {
        return Ok(Zeroizing::new(rpassword::prompt_password("Key password: ")?));
    }
    bail!(
        "no key password: set {PASSWORD_VARIABLE}{}, or run in a terminal",
        file.map(|file| format!(", put it into {}", file.display())).unwrap_or_default()
    )
}

/// Opens a key.
pub(crate) fn open(file: &Path, password: &str) -> Result<PrivateKeySigner> {
    if !file.exists() {
        bail!("there is no key {}; create it with `grid keys new`", file.display());
    }
    PrivateKeySigner::decrypt_keystore(file, password).map_err(|error| {
        eyre!("cannot open the key {}: wrong password or damaged file ({error})", file.display())
    })
}

/// Creates a key `DIR/NAME.json`, readable by its owner only. Never overwrites.
pub(crate) fn create(dir: &Path, name: &str, password: &str) -> Result<KeyInfo> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        bail!("a key's name has letters, digits, '-' and '_' only; {name:?} has not");
    }
    let file = dir.join(format!("{name}.json"));
    if file.exists() {
        bail!("the key {} exists; keys are never overwritten", file.display());
    }
    fs::create_dir_all(dir).wrap_err_with(|| format!("cannot create {}", dir.display()))?;
    let (signer, _) = PrivateKeySigner::new_keystore(
        dir,
        &mut rand::rngs::OsRng,
        password,
        Some(&format!("{name}.json")),
    )
    .wrap_err_with(|| format!("cannot write the key {}", file.display()))?;
    private(&file)?;
    Ok(KeyInfo { name: name.into(), address: signer.address(), file })
}

/// The keys in a folder, by name.
pub(crate) fn list(dir: &Path) -> Result<Vec<KeyInfo>> {
    let mut keys = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(keys),
        Err(error) => return Err(error).wrap_err_with(|| format!("cannot read {}", dir.display())),
    };
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            keys.push(KeyInfo {
                name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                address: address_of(&file)?,
                file,
            });
        }
    }
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(keys)
}

/// The address of a key, without its password.
pub(crate) fn address_of(file: &Path) -> Result<Address> {
    let text = fs::read_to_string(file)
        .wrap_err_with(|| format!("cannot read the key {}", file.display()))?;
    let public: PublicPart = serde_json::from_str(&text)
        .wrap_err_with(|| format!("{} is not a keystore file with an address", file.display()))?;
    Ok(public.address)
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).wrap_err_with(|| format!("cannot write {}", file.display()))?;
    private(file)
}

#[cfg(unix)]
fn private(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
        .wrap_err_with(|| format!("cannot restrict {}", file.display()))
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<()> {
    Ok(())
}

/// Refuses a secret's file that others can read; `what` names it in the message.
#[cfg(unix)]
pub(crate) fn refuse_readable_by_others(what: &str, file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata =
        fs::metadata(file).wrap_err_with(|| format!("{what}: cannot read {}", file.display()))?;
    let mode = metadata.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "{what} {} can be read by others (mode {:o}); run: chmod 600 {}",
            file.display(),
            mode & 0o777,
            file.display()
        );
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn refuse_readable_by_others(_: &str, _: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_encrypted_private_listed_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let made = create(dir.path(), "relayer", "secret").unwrap();
        assert!(create(dir.path(), "relayer", "secret").is_err());
        assert!(create(dir.path(), "../escape", "secret").is_err());
        assert_eq!(open(&made.file, "secret").unwrap().address(), made.address);
        let wrong = open(&made.file, "guess").unwrap_err().to_string();
        assert!(wrong.contains("wrong password"), "{wrong}");
        let listed = list(dir.path()).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].address, made.address);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&made.file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_password_file_that_others_can_read_is_refused_with_the_fix() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "secret\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let error = refuse_readable_by_others("the password file", &file).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        private(&file).unwrap();
        refuse_readable_by_others("the password file", &file).unwrap();
    }
}
