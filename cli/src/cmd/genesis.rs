//! What `grid init`, `grid node init` and `grid localnet` have in common: a genesis, and the files of a home folder.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, U128, U256, hex};
use eyre::{Result, WrapErr as _, bail, eyre};
use grid_core::{
    genesis::{self, Genesis},
    grid::Validator,
    guarantee::{GuaranteeGenesis, GuaranteeParams, Terms, TermsOf},
    modules::{ChainRecord, ClientParams},
    staking::{GenesisDelegate, StakingGenesis, StakingParams},
    transition::ExecutedBlock,
};
use rand::RngCore as _;
use zeroize::Zeroizing;

use crate::{config::Config, home::Home, keys, trust::TrustFile};

/// 1 GRID in its smallest unit.
const GRID: u128 = 1_000_000_000_000_000_000;
/// GRID that an account starts with.
const FUNDS: u128 = 1_000_000;
/// What the validators of a new network share for each block.
const BLOCK_REWARD: u128 = GRID;
/// What block rewards are paid from.
const RESERVE: u128 = 10_000_000 * GRID;
/// What a delegate keeps of its voters' rewards, of 10,000.
const COMMISSION: u16 = 1_000;
/// Attacker's share of the hash rate in the terms of networks that are mined by hand, parts per million.
const TRIAL_SHARE: u32 = 100_000;
/// What one of their blocks counts as.
const TRIAL_BLOCK_VALUE: u128 = 100 * GRID;
/// How long underwriters there wait.
const TRIAL_DELAY_SECS: u64 = 10;
/// Chain id of a new chain, unless another is asked for.
pub(crate) const CHAIN_ID: u64 = 4_700_000;
/// Gas limit of a block: several full submissions.
const GAS_LIMIT: u64 = 60_000_000;
/// Base fee of the first block.
const BASE_FEE: u64 = 1_000_000_000;

/// A genesis without foreign chains: equal power for every validator, funds for every account named.
pub(super) fn new(
    chain_id: u64,
    validators: &[Address],
    governor: Address,
    funded: &[Address],
) -> Result<Genesis> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).wrap_err("the clock is before 1970")?;
    let funds = U256::from(GRID) * U256::from(FUNDS);
    Ok(Genesis {
        chain_id,
        time_ms: u64::try_from(now.as_millis()).wrap_err("the clock is too far ahead")?,
        gas_limit: GAS_LIMIT,
        base_fee: BASE_FEE,
        alloc: funded.iter().map(|address| (*address, funds)).collect(),
        governor,
        validators: equal(validators),
        chains: Vec::new(),
        staking: None,
        guarantee: Some(guarantee(&[])),
    })
}

/// Staking in which every validator of genesis is a delegate that owns its bond itself.
pub(super) fn staking(
    validators: &[Validator],
    epoch_length: u64,
    unbonding_epochs: u16,
) -> StakingGenesis {
    let params = StakingParams {
        epoch_length,
        unbonding_epochs,
        block_reward: U128::from(BLOCK_REWARD),
        ..StakingParams::default()
    };
    let delegates = validators.iter().map(|validator| GenesisDelegate {
        account: validator.account,
        owner: validator.account,
        commission: COMMISSION,
        bond: params.min_self_bond,
    });
    StakingGenesis { delegates: delegates.collect(), reserve: U128::from(RESERVE), params }
}

/// The guarantee of a new network. A chain whose blocks come when somebody asks for them is there to try things out: it
/// has terms, blocks need no age, and underwriters leave at once. Every other chain gets its terms from the governor, with
/// `grid guarantee terms`: what a block is worth in GRID limits the cover, and nobody knows it here.
pub(super) fn guarantee(chains: &[ChainRecord]) -> GuaranteeGenesis {
    let chains: Vec<_> = chains.iter().filter_map(trial_terms).collect();
    let params = if chains.is_empty() {
        GuaranteeParams::default()
    } else {
        GuaranteeParams {
            min_age_secs: 0,
            withdraw_delay_secs: TRIAL_DELAY_SECS,
            ..GuaranteeParams::default()
        }
    };
    GuaranteeGenesis { params, chains }
}

/// Terms for a network that is mined by hand.
fn trial_terms(record: &ChainRecord) -> Option<TermsOf> {
    let ClientParams::Bitcoin { network, .. } = &record.client else { return None };
    let network = network.params().ok().filter(|network| network.no_retargeting)?;
    let terms = Terms {
        attacker_share: TRIAL_SHARE,
        spacing: network.spacing,
        block_value: U128::from(TRIAL_BLOCK_VALUE),
    };
    Some(TermsOf { chain: record.id.clone(), terms })
}

/// Validators of power 1 each, by increasing address.
pub(super) fn equal(accounts: &[Address]) -> Vec<Validator> {
    let mut accounts = accounts.to_vec();
    accounts.sort_unstable();
    accounts.into_iter().map(|account| Validator { account, power: 1 }).collect()
}

/// Adds the accounts of `--fund`.
pub(super) fn fund(alloc: &mut BTreeMap<Address, U256>, wishes: &[String]) -> Result<()> {
    for text in wishes {
        let (address, amount) = text
            .split_once('=')
            .and_then(|(address, amount)| {
                Some((address.parse::<Address>().ok()?, amount.parse::<u64>().ok()?))
            })
            .ok_or_else(|| {
                eyre!("--fund {text:?}: expected ADDRESS=AMOUNT, the amount in whole GRID")
            })?;
        alloc.insert(address, U256::from(GRID) * U256::from(amount));
    }
    Ok(())
}

/// Reads a genesis file.
pub(super) fn read(file: &Path, named: &str) -> Result<Genesis> {
    let text = fs::read_to_string(file)
        .wrap_err_with(|| format!("{named}: cannot read {}", file.display()))?;
    serde_json::from_str(&text)
        .wrap_err_with(|| format!("{named}: {} is not a genesis", file.display()))
}

/// Block 0.
pub(super) fn build(genesis: &Genesis) -> Result<ExecutedBlock> {
    genesis::build(genesis).wrap_err("the genesis is not usable")
}

/// Refuses a home folder that is in use.
pub(super) fn refuse_existing(home: &Home) -> Result<()> {
    if home.config_file().exists() {
        bail!("{} exists; nothing is overwritten", home.config_file().display());
    }
    Ok(())
}

/// Makes the folder of the keys. The password of new keys is the environment's, or a new one in a file beside them.
pub(super) fn keys_folder(home: &Home) -> Result<Zeroizing<String>> {
    fs::create_dir_all(home.keys_dir())
        .wrap_err_with(|| format!("cannot create {}", home.keys_dir().display()))?;
    if let Ok(password) = std::env::var(keys::PASSWORD_VARIABLE) {
        return Ok(Zeroizing::new(password));
    }
    secret(&home.password_file())
}

/// A new secret of 192 random bits, in a file that only its owner can read.
pub(super) fn secret(file: &Path) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0u8; 24]);
    rand::rngs::OsRng.fill_bytes(bytes.as_mut());
    let secret = Zeroizing::new(hex::encode(*bytes));
    keys::write_private(file, &secret)?;
    Ok(secret)
}

/// Writes genesis, trust file and, last, the configuration: a folder with a configuration is a complete one.
pub(super) fn write_home(home: &Home, genesis: &Genesis, config: &Config) -> Result<()> {
    fs::create_dir_all(home.dir())
        .wrap_err_with(|| format!("cannot create {}", home.dir().display()))?;
    write(&home.genesis_file(), &json(genesis)?)?;
    TrustFile::of_genesis(genesis, config.node.block_interval)?.write(&home.trust_file())?;
    let body = toml::to_string_pretty(config).wrap_err("cannot write the configuration")?;
    let head = "# Every value is explained in config/grid.toml of the Grid sources.\n\n";
    write(&home.config_file(), &format!("{head}{body}"))
}

/// A genesis as a file has it.
pub(super) fn json(genesis: &Genesis) -> Result<String> {
    Ok(serde_json::to_string_pretty(genesis)? + "\n")
}

pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).wrap_err_with(|| format!("cannot write {}", file.display()))
}
