//! The sources of the configured chains.

use std::{fs, path::Path, sync::Arc};

use eyre::{Result, WrapErr as _, bail, eyre};
use grid_adapters::{
    Auth, Endpoint, EndpointGroup, EndpointMetrics, Limits, Member, Pool, Secret, SourceChain,
    SourceKind,
    bitcoin::{BitcoinSource, EsploraSource, ImportSource, Quorum, RestMode, p2p::P2pSource},
    ethereum::{
        EthereumSource, FollowHead,
        beacon::{LightConfig, LightSource},
    },
    grid::GridSource,
    message::MessageChain,
};
use grid_core::{
    ChainId,
    bitcoin::{Checkpoint, NetworkParams},
    ethereum::sync::{NetworkConfig, NetworkSpec},
    genesis::Genesis,
    modules::ClientParams,
};
use grid_relayer::{
    ChainSource,
    attest::{AttestConfig, AttestedChain},
    messages::MessageSource,
};

use crate::{
    config::{
        ADMIN_TOKEN, AttesterSection, BeaconSection, ChainKind, ChainSection, Config,
        RelayerSection, SourceSection,
    },
    home::Home,
    keys,
};

/// Fewest characters of a token that keeps strangers out.
const MIN_TOKEN: usize = 16;

/// The main chain's label in the metrics of endpoints.
const MAIN: &str = "main";

/// The source of every configured chain, for the daemon. Opens no connection.
pub(crate) fn all(
    home: &Home,
    config: &Config,
    metrics: &EndpointMetrics,
) -> Result<Vec<ChainSource>> {
    let chains = config.chains.iter().enumerate();
    chains.map(|(n, chain)| of(home, config, n, chain, Some(metrics))).collect()
}

/// The main chain's nodes.
pub(crate) fn main_chain(
    relayer: &RelayerSection,
    metrics: Option<&EndpointMetrics>,
) -> Result<Vec<Endpoint>> {
    let group = EndpointGroup::new(MAIN, relayer.pool.settings(), metrics.cloned());
    let endpoint =
        |(section, url): (String, &str)| Ok(Endpoint::new(url, &section)?.in_group(&group));
    relayer.main_chain.named("relayer.main_chain").into_iter().map(endpoint).collect()
}

/// The chains whose messages are carried: those with nodes that hand out whole blocks.
pub(crate) fn messages(
    home: &Home,
    config: &Config,
    metrics: &EndpointMetrics,
) -> Result<Vec<MessageSource>> {
    let mut found = Vec::new();
    for (n, chain) in config.chains.iter().enumerate().filter(|(_, chain)| chain.messages.deliver) {
        let nodes = block_nodes(home, n, chain, &group(chain, Some(metrics)))?;
        if !nodes.is_empty() {
            let (filter, lookback) = (chain.messages.filter(), chain.messages.lookback);
            found.push(MessageSource { chain: chain.id.clone(), nodes, filter, lookback });
        }
    }
    Ok(found)
}

/// The nodes of a chain that hand out whole blocks: Bitcoin Core, and whatever speaks Ethereum's JSON-RPC.
fn block_nodes(
    home: &Home,
    n: usize,
    chain: &ChainSection,
    group: &EndpointGroup,
) -> Result<Vec<Arc<dyn MessageChain>>> {
    let mut nodes: Vec<Arc<dyn MessageChain>> = Vec::new();
    for (m, url) in chain.rpc.iter().enumerate() {
        let endpoint = Endpoint::new(url, &format!("chain[{n}].rpc[{m}]"))?;
        nodes.push(match chain.kind {
            ChainKind::Bitcoin => {
                let endpoint = endpoint.with_auth(bitcoin_auth(home, chain)?)?;
                Arc::new(core_source(chain, endpoint, chain.rest, group)?.0)
            }
            ChainKind::Ethereum | ChainKind::Grid => {
                let (endpoint, follow) = (endpoint.in_group(group), &chain.follow);
                Arc::new(EthereumSource::new(chain.id.clone(), endpoint, follow.parse()?)?)
            }
        });
    }
    for (m, source) in chain.sources.iter().enumerate() {
        if let SourceSection::Rpc { url, cookie_file, user, rpc_password_file, rest } = source {
            let auth = login(home, cookie_file.as_deref(), user, rpc_password_file.as_deref())?;
            let endpoint =
                Endpoint::new(url, &format!("chain[{n}].source[{m}]"))?.with_auth(auth)?;
            nodes.push(Arc::new(core_source(chain, endpoint, *rest, group)?.0));
        }
    }
    Ok(nodes)
}

/// What the endpoints of a chain have in common.
fn group(chain: &ChainSection, metrics: Option<&EndpointMetrics>) -> EndpointGroup {
    EndpointGroup::new(chain.id.as_str(), chain.pool.settings(), metrics.cloned())
}

/// The source of one configured chain, for the daemon. Opens no connection.
pub(crate) fn of(
    home: &Home,
    config: &Config,
    n: usize,
    chain: &ChainSection,
    metrics: Option<&EndpointMetrics>,
) -> Result<ChainSource> {
    let group = group(chain, metrics);
    Ok(match (chain.kind, &chain.beacon) {
        (ChainKind::Bitcoin, _) => ChainSource::Headers(verified(home, config, n, chain, &group)?),
        (ChainKind::Ethereum, None) => {
            ChainSource::Headers(pool(ethereum(n, chain, &group)?, chain)?)
        }
        (ChainKind::Ethereum, Some(beacon)) => {
            ChainSource::Finality(Arc::new(light(home, n, chain, beacon, &group)?))
        }
        (ChainKind::Grid, _) => ChainSource::Finality(Arc::new(grid(n, chain, &group)?)),
    })
}

/// An Ethereum chain's own light client.
fn light(
    home: &Home,
    n: usize,
    chain: &ChainSection,
    beacon: &BeaconSection,
    group: &EndpointGroup,
) -> Result<LightSource> {
    let config = LightConfig {
        chain: chain.id.clone(),
        network: network(home, &beacon.network)?.config()?,
        policy: beacon.policy(),
        checkpoint: beacon.checkpoint,
        store: beacon.store.as_deref().map(|file| home.resolve(file)),
        agree: beacon.agree,
    };
    let in_group = |endpoints: Vec<Endpoint>| -> Vec<Endpoint> {
        endpoints.into_iter().map(|endpoint| endpoint.in_group(group)).collect()
    };
    let execution = in_group(endpoints(&chain.rpc, &format!("chain[{n}].rpc"))?);
    Ok(LightSource::new(config, in_group(beacons(n, beacon)?), execution)?)
}

/// The node of another Grid chain.
fn grid(n: usize, chain: &ChainSection, group: &EndpointGroup) -> Result<GridSource> {
    let section = format!("chain[{n}].rpc[0]");
    let url = chain.rpc.first().ok_or_else(|| eyre!("{section} is missing"))?;
    Ok(GridSource::new(chain.id.clone(), Endpoint::new(url, &section)?.in_group(group))?)
}

/// The beacon nodes of a chain.
pub(crate) fn beacons(n: usize, beacon: &BeaconSection) -> Result<Vec<Endpoint>> {
    endpoints(&beacon.url, &format!("chain[{n}].beacon.url"))
}

/// Endpoints that need no login, named by their places in a list.
pub(crate) fn endpoints(urls: &[String], list: &str) -> Result<Vec<Endpoint>> {
    let endpoint = |(m, url): (usize, &String)| Ok(Endpoint::new(url, &format!("{list}[{m}]"))?);
    urls.iter().enumerate().map(endpoint).collect()
}

/// A beacon chain by its name, or by a JSON file with its numbers.
pub(crate) fn network(home: &Home, name: &str) -> Result<NetworkSpec> {
    if Path::new(name).extension().is_none_or(|extension| extension != "json") {
        return Ok(NetworkSpec::BuiltIn(name.into()));
    }
    let file = home.resolve(Path::new(name));
    let text = fs::read_to_string(&file)
        .wrap_err_with(|| format!("cannot read the network's file {}", file.display()))?;
    let config: NetworkConfig =
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text))
            .wrap_err_with(|| format!("{} does not hold a network's numbers", file.display()))?;
    config.validate().wrap_err_with(|| format!("{} cannot be used", file.display()))?;
    Ok(config.into())
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
        .filter(|(_, chain)| {
            // A Grid chain's transactions and receipts are Ethereum's.
            let fits =
                chain.kind == kind || (kind, chain.kind) == (ChainKind::Ethereum, ChainKind::Grid);
            fits && on.is_none_or(|id| *id == chain.id)
        })
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
        ChainKind::Grid => "Grid",
    }
}

/// The sources of a chain, each by itself. Without its network's peers.
pub(crate) fn members(home: &Home, n: usize, chain: &ChainSection) -> Result<Vec<Member>> {
    let group = group(chain, None);
    match chain.kind {
        ChainKind::Bitcoin => bitcoin(home, n, chain, None, &group),
        // A Grid node serves blocks, transactions and receipts as an Ethereum node does.
        ChainKind::Ethereum | ChainKind::Grid => ethereum(n, chain, &group),
    }
}

/// The sources of a chain as a command needs them: whoever answers.
fn one(home: &Home, n: usize, chain: &ChainSection) -> Result<Arc<dyn SourceChain>> {
    pool(members(home, n, chain)?, chain)
}

fn pool(members: Vec<Member>, chain: &ChainSection) -> Result<Arc<dyn SourceChain>> {
    let agree = chain.agree.min(members.len());
    Ok(Arc::new(Pool::new(members, agree)?))
}

/// The sources of a Bitcoin network, every header verified here.
fn verified(
    home: &Home,
    config: &Config,
    n: usize,
    chain: &ChainSection,
    group: &EndpointGroup,
) -> Result<Arc<dyn SourceChain>> {
    let params = params(chain)?;
    let start = trusted_start(home, config, &params)?;
    let members = bitcoin(home, n, chain, Some(&start), group)?;
    Ok(Arc::new(Quorum::new(members, chain.agree, params, &start)?))
}

fn params(chain: &ChainSection) -> Result<NetworkParams> {
    Ok(NetworkParams::by_name(chain.network.as_deref().unwrap_or_default())?)
}

/// From where headers are verified: what the main chain starts from, where its genesis file is here;
/// the network's genesis otherwise.
fn trusted_start(home: &Home, config: &Config, params: &NetworkParams) -> Result<Checkpoint> {
    let file = home.resolve(&config.node.genesis);
    let network = || Checkpoint::genesis(params);
    if !file.exists() {
        return Ok(network());
    }
    let text = fs::read_to_string(&file)
        .wrap_err_with(|| format!("node.genesis: cannot read {}", file.display()))?;
    let genesis: Genesis = serde_json::from_str(&text)
        .wrap_err_with(|| format!("node.genesis: {} is not a genesis", file.display()))?;
    let record = genesis.chains.into_iter().find(|record| record.id == params.chain_id());
    Ok(match record.map(|record| record.client) {
        Some(ClientParams::Bitcoin { checkpoint: Some(checkpoint), .. }) => checkpoint,
        _ => network(),
    })
}

/// Who attests the Ethereum chains that are followed without a beacon chain, and who may ask this relayer to.
pub(crate) fn attestation(home: &Home, config: &Config) -> Result<AttestConfig> {
    let mut attest = AttestConfig::default();
    for (n, file) in config.relayer.attest_tokens.iter().enumerate() {
        attest.tokens.push(token(home, file, &format!("relayer.attest_tokens[{n}]"))?);
    }
    let by_rpc = |chain: &ChainSection| chain.kind == ChainKind::Ethereum && chain.beacon.is_none();
    for (n, chain) in config.chains.iter().enumerate().filter(|(_, chain)| by_rpc(chain)) {
        let head: FollowHead = chain.follow.parse()?;
        let peer = |(m, attester): (usize, &AttesterSection)| {
            let section = format!("chain[{n}].attester[{m}]");
            let token = token(home, &attester.token_file, &format!("{section}.token_file"))?;
            Ok(Endpoint::new(&attester.url, &section)?.with_auth(Auth::Bearer(token))?)
        };
        let peers = chain.attesters.iter().enumerate().map(peer).collect::<Result<_>>()?;
        let follows_final = matches!(head, FollowHead::Safe | FollowHead::Finalized);
        attest.chains.insert(chain.id.clone(), AttestedChain { follows_final, peers });
    }
    Ok(attest)
}

/// The token of administration; `None` where it is off.
pub(crate) fn admin_token(home: &Home, config: &Config) -> Result<Option<Secret>> {
    let Some(file) = &config.relayer.admin.token_file else { return Ok(None) };
    keys::refuse_readable_by_others(ADMIN_TOKEN, &home.resolve(file))?;
    token(home, file, ADMIN_TOKEN).map(Some)
}

/// A token's file: one line of at least [`MIN_TOKEN`] characters.
pub(crate) fn token(home: &Home, file: &Path, section: &str) -> Result<Secret> {
    let file = home.resolve(file);
    let text = zeroize::Zeroizing::new(
        fs::read_to_string(&file)
            .wrap_err_with(|| format!("{section}: cannot read {}", file.display()))?,
    );
    let text = text.trim_end_matches(['\r', '\n']);
    if text.len() < MIN_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "{section}: {} must hold one line of at least {MIN_TOKEN} visible ASCII characters, for example \
             of `openssl rand -hex 32`",
            file.display()
        );
    }
    Ok(Secret::new(text))
}

fn ethereum(n: usize, chain: &ChainSection, group: &EndpointGroup) -> Result<Vec<Member>> {
    let member = |(m, url): (usize, &String)| {
        let section = format!("chain[{n}].rpc[{m}]");
        let (endpoint, follow) = (Endpoint::new(url, &section)?.in_group(group), &chain.follow);
        let source = EthereumSource::new(chain.id.clone(), endpoint.clone(), follow.parse()?)?;
        Ok(Member::new(section, SourceKind::Rpc, Arc::new(source)).at(&endpoint))
    };
    chain.rpc.iter().enumerate().map(member).collect()
}

/// The sources of a Bitcoin network. Peers are only followed where there is a trusted start to follow them
/// from: a command would be over before they have shown their chain.
fn bitcoin(
    home: &Home,
    n: usize,
    chain: &ChainSection,
    start: Option<&Checkpoint>,
    group: &EndpointGroup,
) -> Result<Vec<Member>> {
    let mut members = Vec::with_capacity(chain.source_count());
    for (m, url) in chain.rpc.iter().enumerate() {
        let section = format!("chain[{n}].rpc[{m}]");
        let endpoint = Endpoint::new(url, &section)?.with_auth(bitcoin_auth(home, chain)?)?;
        members.push(core_node(chain, endpoint, chain.rest, group)?);
    }
    for (m, source) in chain.sources.iter().enumerate() {
        let section = format!("chain[{n}].source[{m}]");
        members.push(match source {
            SourceSection::Rpc { url, cookie_file, user, rpc_password_file, rest } => {
                let auth = login(home, cookie_file.as_deref(), user, rpc_password_file.as_deref())?;
                core_node(chain, Endpoint::new(url, &section)?.with_auth(auth)?, *rest, group)?
            }
            SourceSection::Esplora { url } => {
                let endpoint = Endpoint::new(url, &section)?.in_group(group);
                let source = EsploraSource::new(chain.id.clone(), endpoint.clone())?;
                Member::new(section, SourceKind::Esplora, Arc::new(source)).at(&endpoint)
            }
            SourceSection::P2p(config) => {
                let Some(start) = start else { continue };
                let mut config = config.clone();
                config.headers_file = config.headers_file.map(|file| home.resolve(&file));
                let source = P2pSource::start(params(chain)?, start, config)
                    .wrap_err_with(|| section.clone())?;
                Member::new(section, SourceKind::P2p, Arc::new(source))
            }
            SourceSection::Import { file, start_height } => {
                let source = ImportSource::new(params(chain)?, home.resolve(file), *start_height);
                Member::new(section, SourceKind::Import, Arc::new(source))
            }
        });
    }
    Ok(members)
}

/// A Bitcoin Core node.
fn core_node(
    chain: &ChainSection,
    endpoint: Endpoint,
    rest: bool,
    group: &EndpointGroup,
) -> Result<Member> {
    let (source, endpoint) = core_source(chain, endpoint, rest, group)?;
    let section = endpoint.section().to_owned();
    Ok(Member::new(section, SourceKind::Rpc, Arc::new(source)).at(&endpoint))
}

fn core_source(
    chain: &ChainSection,
    endpoint: Endpoint,
    rest: bool,
    group: &EndpointGroup,
) -> Result<(BitcoinSource, Endpoint)> {
    let endpoint = endpoint.with_limits(Limits::bitcoin_core()).in_group(group);
    let rest = if rest { RestMode::Auto } else { RestMode::Off };
    Ok((BitcoinSource::new(chain.id.clone(), endpoint.clone(), rest)?, endpoint))
}

/// The login of the nodes in `rpc`.
pub(crate) fn bitcoin_auth(home: &Home, chain: &ChainSection) -> Result<Auth> {
    let (cookie, password) = (chain.cookie_file.as_deref(), chain.rpc_password_file.as_deref());
    login(home, cookie, &chain.user, password)
}

fn login(
    home: &Home,
    cookie_file: Option<&Path>,
    user: &Option<String>,
    password_file: Option<&Path>,
) -> Result<Auth> {
    if let Some(cookie) = cookie_file {
        return Ok(Auth::Cookie { path: home.resolve(cookie) });
    }
    let (Some(user), Some(file)) = (user, password_file) else {
        return Ok(Auth::None);
    };
    let file = home.resolve(file);
    let password = fs::read_to_string(&file)
        .wrap_err_with(|| format!("cannot read rpc_password_file {}", file.display()))?;
    Ok(Auth::password(user, password.trim_end_matches(['\r', '\n'])))
}
