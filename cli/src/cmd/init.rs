//! `grid init`: a home folder with configuration, genesis, keys and a trust file.
//!
//! The genesis holds the trusted start of every chain, so the endpoints are asked for it now, once; from then on the
//! main chain verifies.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use alloy_primitives::{Address, B256};
use eyre::{Result, WrapErr as _, eyre};
use grid_core::{
    ChainId, Family, Level, Security,
    bitcoin::{NetworkSpec, network::NetworkParams},
    confirm::ConfirmationRule,
    ethereum::sync,
    grid::{
        GridHeader,
        light::{LightPolicy, TrustedState},
    },
    modules::{ChainRecord, ChainStatus, ClientParams, record::DEFAULT_WINDOW},
};
use serde::Serialize;

use super::{
    checkpoint::{self, LightStart},
    genesis,
};
use crate::{
    args::InitArgs,
    config::{BeaconSection, ChainKind, ChainSection, Config, MessagesSection, PoolSection},
    home::Home,
    keys::{self, KeyInfo},
    main_chain::GridRpc,
    output::Output,
    sources,
};

/// How often nodes on this machine are asked: often enough that a new block is in the next Grid block.
const LOCAL_POLL: Duration = Duration::from_millis(300);

/// The token of the relayer's administration.
const ADMIN_TOKEN: &str = "keys/admin-token";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    home: String,
    chain_id: u64,
    genesis_hash: String,
    keys: Vec<KeyInfo>,
    chains: Vec<String>,
    /// Beacon blocks that are trusted from now on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checkpoints: Vec<LightStart>,
    /// Blocks of other Grid chains that are trusted from now on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grid_blocks: Vec<GridStart>,
}

/// A trusted block of another Grid chain.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GridStart {
    chain: String,
    height: u64,
    hash: B256,
}

pub(super) async fn run(home: &Home, args: &InitArgs, out: Output) -> Result<()> {
    genesis::refuse_existing(home)?;
    // Ask the endpoints first: nothing is written where one of them cannot be used.
    let mut config = configuration(args)?;
    let (records, checkpoints) = records(home, args, &config).await?;
    for (section, record) in config.chains.iter_mut().zip(&records) {
        section.id = record.id.clone();
    }
    let keys = make_keys(home)?;
    genesis::secret(&home.resolve(Path::new(ADMIN_TOKEN)))?;
    let [validator, relayer, user] = &keys;
    // The governor pays for what it sets.
    let funded = [validator.address, relayer.address, user.address];
    let mut genesis =
        genesis::new(args.chain_id, &[validator.address], validator.address, &funded)?;
    genesis::fund(&mut genesis.alloc, &args.fund)?;
    genesis.chains =
        records.into_iter().map(|record| with_attester(record, relayer.address)).collect();
    genesis.guarantee = Some(genesis::guarantee(&genesis.chains));
    let block = genesis::build(&genesis)?;
    genesis::write_home(home, &genesis, &config)?;
    let made = Made {
        home: home.dir().display().to_string(),
        chain_id: genesis.chain_id,
        genesis_hash: block.hash.to_string(),
        keys: keys.to_vec(),
        chains: genesis.chains.iter().map(|record| record.id.to_string()).collect(),
        checkpoints,
        grid_blocks: grid_starts(&genesis.chains)?,
    };
    out.show(&made, people)
}

fn people(made: &Made) -> String {
    let mut text = format!(
        "created {}\n  Grid chain   eip155:{}  genesis {}\n",
        made.home, made.chain_id, made.genesis_hash
    );
    for key in &made.keys {
        text.push_str(&format!("  key          {:<10} {}\n", key.name, key.address));
    }
    for chain in &made.chains {
        text.push_str(&format!("  follows      {chain}\n"));
    }
    for trusted in &made.checkpoints {
        text.push_str(&format!(
            "  TRUSTS       {} beacon block {}\n               slot {}, {} old, execution block {}\n\
             \x20              compare it with a source that you trust before you start\n",
            trusted.network, trusted.checkpoint, trusted.slot, trusted.age, trusted.height
        ));
    }
    for GridStart { chain, height, hash } in &made.grid_blocks {
        text.push_str(&format!(
            "  TRUSTS       {chain} block {hash}\n               height {height}\n\
             \x20              compare it with a source that you trust before you start\n",
        ));
    }
    text.push_str(&format!(
        "  password     {}/keys/password (keep it, and back it up apart from the keys)\n\
         next: grid --home {} start",
        made.home, made.home
    ));
    text
}

fn configuration(args: &InitArgs) -> Result<Config> {
    let mut config = Config::default();
    config.node.set_interval(*args.block_interval);
    config.node.rpc = args.rpc;
    config.relayer.listen = args.listen;
    config.relayer.admin.listen = args.admin_listen.unwrap_or_else(|| admin_address(args));
    config.relayer.admin.token_file = Some(ADMIN_TOKEN.into());
    config.relayer.main_chain = format!("http://{}", args.rpc).into();
    if endpoints(args).all(is_local) {
        config.relayer.poll.l0 = LOCAL_POLL;
        config.relayer.poll.l1 = LOCAL_POLL;
    }
    if let Some(text) = &args.bitcoin {
        config.chains.push(bitcoin_section(args, text)?);
    }
    if let Some(url) = &args.ethereum {
        config.chains.push(ChainSection {
            follow: args.ethereum_follow.clone(),
            beacon: beacon_section(args)?,
            ..section(ChainKind::Ethereum, url)
        });
    }
    if let Some(url) = &args.grid {
        config.chains.push(section(ChainKind::Grid, url));
    }
    Ok(config)
}

/// Loopback, two ports above the relayer's, or the next one that is not the node's.
fn admin_address(args: &InitArgs) -> SocketAddr {
    let port = args.listen.port();
    let near = |n| port.checked_add(n).unwrap_or_else(|| port.saturating_sub(n));
    let port = match near(2) {
        // 0 is any port.
        _ if port == 0 => 0,
        taken if taken == args.rpc.port() => near(3),
        free => free,
    };
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A chain of which the endpoint says which it is.
fn section(kind: ChainKind, url: &str) -> ChainSection {
    ChainSection {
        // `records` fills this in.
        id: ChainId::eip155(0),
        kind,
        rpc: vec![url.into()],
        agree: 1,
        network: None,
        cookie_file: None,
        user: None,
        rpc_password_file: None,
        rest: true,
        follow: "latest".into(),
        sources: Vec::new(),
        attesters: Vec::new(),
        beacon: None,
        messages: MessagesSection::default(),
        pool: PoolSection::default(),
    }
}

fn beacon_section(args: &InitArgs) -> Result<Option<BeaconSection>> {
    let Some(network) = &args.ethereum_network else { return Ok(None) };
    // A file is named from where the command runs, not from the home folder.
    let network = if Path::new(network).extension().is_some_and(|extension| extension == "json") {
        std::path::absolute(network).wrap_err("--ethereum-network")?.display().to_string()
    } else {
        network.clone()
    };
    Ok(Some(BeaconSection {
        // The record has it.
        checkpoint: None,
        store: Some("ethereum-light.store".into()),
        ..BeaconSection::new(args.ethereum_beacon.clone(), network)
    }))
}

/// The addresses of the nodes, as given.
fn endpoints(args: &InitArgs) -> impl Iterator<Item = &str> {
    let bitcoin = args.bitcoin.as_deref().and_then(|text| text.split_once('='));
    let beacons = args.ethereum_beacon.iter().map(String::as_str);
    let nodes = args.ethereum.as_deref().into_iter().chain(args.grid.as_deref());
    bitcoin.map(|(_, url)| url).into_iter().chain(nodes).chain(beacons)
}

fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| rest.starts_with(host))
}

fn bitcoin_section(args: &InitArgs, text: &str) -> Result<ChainSection> {
    let (network, url) = text.split_once('=').ok_or_else(|| {
        eyre!(
            "--bitcoin {text:?}: expected NETWORK=URL, for example regtest=http://127.0.0.1:18443"
        )
    })?;
    let params = NetworkParams::by_name(network).wrap_err("--bitcoin")?;
    let absolute = |file: &Option<std::path::PathBuf>| {
        file.as_ref().map(std::path::absolute).transpose().wrap_err("cannot resolve a file's path")
    };
    Ok(ChainSection {
        id: params.chain_id(),
        network: Some(network.into()),
        cookie_file: absolute(&args.bitcoin_cookie)?,
        user: args.bitcoin_user.clone(),
        rpc_password_file: absolute(&args.bitcoin_password_file)?,
        ..section(ChainKind::Bitcoin, url)
    })
}

/// Asks every endpoint for its chain's trusted start.
async fn records(
    home: &Home,
    args: &InitArgs,
    config: &Config,
) -> Result<(Vec<ChainRecord>, Vec<LightStart>)> {
    let (mut records, mut checkpoints) = (Vec::new(), Vec::new());
    for section in &config.chains {
        records.push(match (section.kind, &section.beacon) {
            (ChainKind::Bitcoin, _) => bitcoin_record(home, args, config, section).await?,
            (ChainKind::Ethereum, None) => ethereum_record(args, section).await?,
            (ChainKind::Ethereum, Some(beacon)) => {
                let network = sources::network(home, &beacon.network)?;
                let root = args.ethereum_checkpoint;
                let start = Box::pin(checkpoint::light(section, beacon, &network, root)).await?;
                let record = light_record(&start, network);
                checkpoints.push(start);
                record
            }
            (ChainKind::Grid, _) => grid_record(args, section).await?,
        });
    }
    Ok((records, checkpoints))
}

/// An Ethereum chain that proves its finality.
fn light_record(start: &LightStart, network: sync::NetworkSpec) -> ChainRecord {
    ChainRecord {
        id: start.chain.clone(),
        family: Family::Ethereum,
        security: Security::SyncCommittee,
        level: Level::L1,
        measured: true,
        rule: ConfirmationRule::Final,
        status: ChainStatus::Active,
        client: ClientParams::SyncCommittee {
            network,
            checkpoint: start.checkpoint,
            start: start.header.clone(),
            policy: sync::Policy::default(),
        },
        window: DEFAULT_WINDOW,
    }
}

/// Another Grid chain, from its node's newest block on.
async fn grid_record(args: &InitArgs, section: &ChainSection) -> Result<ChainRecord> {
    let url = section.rpc.first().map_or("", String::as_str);
    let rpc = GridRpc::new(url)?;
    let unusable = || format!("--grid {url} cannot be used");
    let tip = rpc.tip().await.wrap_err_with(unusable)?;
    let block = rpc.light_block(tip.height).await.wrap_err_with(unusable)?;
    let state = TrustedState::certified(tip.chain_id, &block)
        .wrap_err("the Grid node's newest block does not fit its certificate")?;
    let period = args.grid_trusting_period.as_millis();
    let policy = LightPolicy {
        trusting_period_ms: u64::try_from(period).wrap_err("--grid-trusting-period")?,
        ..LightPolicy::default()
    };
    Ok(ChainRecord {
        id: ChainId::eip155(tip.chain_id),
        family: Family::Grid,
        security: Security::BftCertificate,
        level: Level::L0,
        measured: false,
        rule: ConfirmationRule::Final,
        status: ChainStatus::Active,
        client: ClientParams::Grid { start: block.header, validators: state.validators, policy },
        window: DEFAULT_WINDOW,
    })
}

/// The blocks from which other Grid chains are followed.
fn grid_starts(records: &[ChainRecord]) -> Result<Vec<GridStart>> {
    let mut starts = Vec::new();
    for record in records {
        if let ClientParams::Grid { start, .. } = &record.client {
            let header = GridHeader::decode(start)?;
            let (chain, height) = (record.id.to_string(), header.header().number);
            starts.push(GridStart { chain, height, hash: header.hash() });
        }
    }
    Ok(starts)
}

async fn bitcoin_record(
    home: &Home,
    args: &InitArgs,
    config: &Config,
    section: &ChainSection,
) -> Result<ChainRecord> {
    let source = sources::choose(home, config, ChainKind::Bitcoin, Some(&section.id))?;
    source.tip().await.wrap_err("the Bitcoin node cannot be used")?;
    let network = NetworkSpec::BuiltIn(section.network.clone().unwrap_or_default());
    let checkpoint = match args.bitcoin_start {
        None | Some(0) => None,
        Some(height) => Some(checkpoint::bitcoin(home, section, source.as_ref(), height).await?),
    };
    let depth = ConfirmationRule::Depth { blocks: args.bitcoin_depth };
    let rule = match (&args.bitcoin_rule, args.bitcoin_age) {
        (Some(rule), _) => rule.clone(),
        (None, 0) => depth,
        (None, secs) => ConfirmationRule::AllOf(vec![depth, ConfirmationRule::Age { secs }]),
    };
    // Blocks of a test network come when somebody asks for them: nothing to measure.
    let on_demand = network.params().is_ok_and(|params| params.no_retargeting);
    Ok(ChainRecord {
        id: section.id.clone(),
        family: Family::Bitcoin,
        security: Security::ProofOfWork,
        level: if on_demand { Level::L1 } else { Level::L3 },
        measured: !on_demand,
        rule,
        status: ChainStatus::Active,
        client: ClientParams::Bitcoin { network, checkpoint },
        window: DEFAULT_WINDOW,
    })
}

async fn ethereum_record(args: &InitArgs, section: &ChainSection) -> Result<ChainRecord> {
    let (id, start) = checkpoint::ethereum(section, args.ethereum_start).await?;
    Ok(ChainRecord {
        id,
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L1,
        measured: true,
        rule: ConfirmationRule::Depth { blocks: args.ethereum_depth },
        status: ChainStatus::Active,
        // The relayer's key attests; it exists only after the endpoints have answered.
        client: ClientParams::Attested { threshold: 1, attesters: Vec::new(), start },
        window: DEFAULT_WINDOW,
    })
}

fn with_attester(mut record: ChainRecord, attester: Address) -> ChainRecord {
    if let ClientParams::Attested { attesters, .. } = &mut record.client {
        *attesters = vec![attester];
    }
    record
}

fn make_keys(home: &Home) -> Result<[KeyInfo; 3]> {
    let password = genesis::keys_folder(home)?;
    let dir = home.keys_dir();
    Ok([
        keys::create(&dir, "validator", &password)?,
        keys::create(&dir, "relayer", &password)?,
        keys::create(&dir, "user", &password)?,
    ])
}
