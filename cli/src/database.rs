//! Where the relayer's rows are.

use std::{fs, path::Path};

use eyre::{Result, WrapErr as _};
use grid_relayer::store::{PostgresConfig, StoreLocation};
use zeroize::Zeroizing;

use crate::{config::RelayerSection, home::Home};

/// The file or server that the configuration names.
pub(crate) fn location(home: &Home, relayer: &RelayerSection) -> Result<StoreLocation> {
    if !StoreLocation::is_url(&relayer.store) {
        return Ok(home.resolve(Path::new(&relayer.store)).into());
    }
    let read = |file: &Path| -> Result<Zeroizing<String>> {
        let file = home.resolve(file);
        let text = fs::read_to_string(&file)
            .wrap_err_with(|| format!("relayer.store_password_file: {}", file.display()))?;
        Ok(Zeroizing::new(text))
    };
    let password = relayer.store_password_file.as_deref().map(read).transpose()?;
    let password = password.as_ref().map(|text| text.trim_end_matches(['\r', '\n']));
    Ok(StoreLocation::Postgres(PostgresConfig::new(&relayer.store, password)?))
}
