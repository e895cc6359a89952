//! The sources of the configured chains.

use std::{fs, sync::Arc};

use eyre::{Result, WrapErr as _, bail};
use grid_adapters::{
    Auth, Endpoint, Member, Pool, SourceChain, SourceKind,
    bitcoin::{BitcoinSource, RestMode},
    ethereum::EthereumSource,
};
use grid_core::ChainId;

use crate::{
    config::{ChainKind, ChainSection, Config},
    home::Home,
};

/// The source of every configured chain. Opens no connection.
pub(crate) fn all(home: &Home, config: &Config) -> Result<Vec<Arc<dyn SourceChain>>> {
    config.chains.iter().enumerate().map(|(n, chain)| one(home, n, chain)).collect()
}

/// The source of the chain that a command means: the one named, or the only one of the kind.
pub(crate) fn choose(
    home: &Home,
    config: &Config,
    kind: ChainKind,
    on: Option<&ChainId>,
) -> Result<Arc<dyn SourceChain>> {
    let fitting: Vec<(usize, &ChainSection)> = config
        .chains
        .iter()
        .enumerate()
        .filter(|(_, chain)| chain.kind == kind && on.is_none_or(|id| *id == chain.id))
        .collect();
    match fitting.as_slice() {
        [(n, chain)] => one(home, *n, chain),
        [] => bail!(
            "no {} chain{} is configured in {}",
            name(kind),
            on.map(|id| format!(" {id}")).unwrap_or_default(),
            home.config_file().display()
        ),
        several => bail!(
            "{} {} chains are configured; choose with --on: {}",
            several.len(),
            name(kind),
            several.iter().map(|(_, chain)| chain.id.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

const fn name(kind: ChainKind) -> &'static str {
    match kind {
        ChainKind::Bitcoin => "Bitcoin",
        ChainKind::Ethereum => "Ethereum",
    }
}

fn one(home: &Home, n: usize, chain: &ChainSection) -> Result<Arc<dyn SourceChain>> {
    let mut members = Vec::with_capacity(chain.rpc.len());
    for (m, url) in chain.rpc.iter().enumerate() {
        let section = format!("chain[{n}].rpc[{m}]");
        let endpoint = Endpoint::new(url, &section)?;
        let source: Arc<dyn SourceChain> = match chain.kind {
            ChainKind::Bitcoin => {
                let endpoint = endpoint.with_auth(bitcoin_auth(home, chain)?)?;
                let rest = if chain.rest { RestMode::Auto } else { RestMode::Off };
                Arc::new(BitcoinSource::new(chain.id.clone(), endpoint, rest)?)
            }
            ChainKind::Ethereum => {
                let follow = chain.follow.parse()?;
                Arc::new(EthereumSource::new(chain.id.clone(), endpoint, follow)?)
            }
        };
        members.push(Member::new(section, SourceKind::Rpc, source));
    }
    Ok(Arc::new(Pool::new(members, chain.agree)?))
}

pub(crate) fn bitcoin_auth(home: &Home, chain: &ChainSection) -> Result<Auth> {
    if let Some(cookie) = &chain.cookie_file {
        return Ok(Auth::Cookie { path: home.resolve(cookie) });
    }
    let (Some(user), Some(file)) = (&chain.user, &chain.rpc_password_file) else {
        return Ok(Auth::None);
    };
    let file = home.resolve(file);
    let password = fs::read_to_string(&file)
        .wrap_err_with(|| format!("cannot read rpc_password_file {}", file.display()))?;
    Ok(Auth::password(user, password.trim_end_matches(['\r', '\n'])))
}
