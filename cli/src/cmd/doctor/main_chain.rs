//! The main chain: it answers, it is alive, it knows the chains, and the relayer's key can pay.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::utils::format_ether;
use grid_core::{
    Level, Security,
    api::{AccountInfo, ChainInfo},
};
use grid_relayer::{HttpTransport, MainChain as _, MainView, RpcMainChain, evidence, submit::Fees};

use super::{Finding, Site};
use crate::{
    args::Daemon,
    config::{ChainKind, ChainSection, Config},
    home::Home,
    keys, sources,
};

/// The patience with one call.
const DEADLINE: Duration = Duration::from_secs(6);
/// A tip this old is a standstill, or a clock that is ahead.
const OLD_TIP: u64 = 60_000;
/// A tip so far in the future, in milliseconds, is a clock that is behind.
const FUTURE_TIP: u64 = 3_000;
/// A wallet that pays for fewer days than this needs a look.
const FEW_DAYS: u64 = 7;
/// Bytes of a typical submission: one Ethereum header with its frame.
const CALL: usize = 900;

/// The view of the main chain and the relayer's account, or why there is none.
pub(super) type Asked = Result<(MainView, Option<AccountInfo>), String>;

/// Asks the main chain as the relayer does.
pub(super) async fn ask(home: &Home, config: &Config) -> Asked {
    let nodes = sources::main_chain(&config.relayer, None).map_err(|error| format!("{error:#}"))?;
    let nodes = HttpTransport::new(nodes).map_err(|error| error.to_string())?;
    let main = RpcMainChain::new(nodes, DEADLINE);
    let view = main.view().await.map_err(|error| error.to_string())?;
    let account = match keys::address_of(&home.resolve(&config.relayer.key)) {
        Ok(address) => main.account(&address).await.ok(),
        // The look at the keys tells.
        Err(_) => None,
    };
    Ok((view, account))
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The main chain itself, the clock, and the registration of the chains.
pub(super) fn look(site: &Site<'_>) -> Vec<Finding> {
    let path = "relayer.main_chain";
    let view = match &site.main {
        Ok((view, _)) => view,
        Err(_) if site.daemon == Daemon::Start && site.running.is_none() => {
            let found = "`grid start` brings it along; it does not run yet, so that chains and wallet are not looked at";
            return vec![Finding::good("main chain", path, found)];
        }
        Err(reason) => {
            let fix = "start a node of the main chain, or correct relayer.main_chain";
            let expected = "a node of the main chain that answers";
            return vec![Finding::problem("main chain", path, expected, reason, fix)];
        }
    };
    let mut findings = vec![tip(view)];
    for (n, section) in site.config.chains.iter().enumerate() {
        findings.extend(registration(n, section, view));
    }
    findings
}

fn tip(view: &MainView) -> Finding {
    let (path, now, time) = ("relayer.main_chain", now_ms(), view.tip.time_ms);
    let found = format!("eip155:{} at block {}", view.tip.chain_id, view.tip.height);
    if time > now.saturating_add(FUTURE_TIP) {
        let found =
            format!("the newest block of the main chain is {} s ahead", (time - now) / 1000);
        let fix = "set this machine's clock by NTP";
        return Finding::problem(
            "clock",
            path,
            "a clock that agrees with the main chain",
            found,
            fix,
        );
    }
    let age = now.saturating_sub(time);
    if age > OLD_TIP {
        let found = format!("{found}, {} s old", age / 1000);
        let fix = "the main chain stands (docs/runbooks/GridMainChainHalted.md), or this machine's clock is ahead";
        let expected = "a block of the last minute";
        return Finding::problem("main chain", path, expected, found, fix).only_a_warning();
    }
    Finding::good("main chain", path, format!("{found}, {} ms old, clocks agree", age))
}

/// A chain is registered, active, and followed in the way in which it is registered.
fn registration(n: usize, section: &ChainSection, view: &MainView) -> Vec<Finding> {
    let (check, path) = ("registration", format!("chain[{n}].id"));
    let Some(info) = view.chain(&section.id) else {
        let known: Vec<&str> = view.chains.iter().map(|chain| chain.id.as_str()).collect();
        let found = format!("{} is not; registered are: {}", section.id, known.join(", "));
        let fix = "register the chain, or remove its section";
        let expected = "a chain that is registered on the main chain";
        return vec![Finding::problem(check, path, expected, found, fix)];
    };
    let mut findings = Vec::new();
    if info.status == "active" {
        let found =
            format!("{}, {}, tracked to {}", info.level, info.security, info.tracked.height);
        findings.push(Finding::good(check, &path, found));
    } else {
        let found = format!("{} on the main chain", info.status);
        let fix = "its governor can resume it (docs/runbooks/GridChainSuspended.md)";
        findings.push(Finding::problem(check, &path, "an active chain", found, fix));
    }
    let proves = info.security == Security::SyncCommittee;
    if section.kind == ChainKind::Ethereum && proves != section.beacon.is_some() {
        let (expected, fix) = if proves {
            ("a [chain.beacon] section: the chain proves its finality", "add the section")
        } else {
            (
                "no [chain.beacon] section: the chain is attested",
                "remove it, or register the chain anew",
            )
        };
        let found = format!("registered as {}", info.security);
        let path = format!("chain[{n}].beacon");
        findings.push(Finding::problem(check, path, expected, found, fix));
    }
    findings.extend(light_client(n, section, info));
    findings
}

/// The light client of the main chain must not grow older than its rules allow.
fn light_client(n: usize, section: &ChainSection, info: &ChainInfo) -> Option<Finding> {
    let (sync, beacon) = (info.sync.as_ref()?, section.beacon.as_ref()?);
    let limit = beacon.max_checkpoint_age.as_secs();
    if !sync.started || limit == 0 {
        return None;
    }
    let age = (now_ms() / 1000).saturating_sub(sync.finalized_time);
    let shown = |secs| humantime::format_duration(Duration::from_secs(secs)).to_string();
    let (path, found) = (format!("chain[{n}].beacon"), format!("finalized {} ago", shown(age)));
    let expected = format!("finality of the last {}", shown(limit / 2));
    let fix = "docs/runbooks/GridLightClientExpiring.md: relay its updates before it is too old";
    let old = || Finding::problem("light client", &path, expected, &found, fix);
    Some(match age {
        age if age > limit => old(),
        age if age > limit / 2 => old().only_a_warning(),
        _ => Finding::good("light client", &path, &found),
    })
}

/// The relayer's account pays for the days to come.
pub(super) async fn wallet(site: &Site<'_>) -> Vec<Finding> {
    let Ok((view, Some(account))) = &site.main else { return Vec::new() };
    let (check, path) = ("wallet", "relayer.key");
    let balance = account.balance;
    let fees = Fees::new(view.base_fee, 1);
    let one = fees.most(evidence::gas_limit(&[0xff; CALL], 1));
    let configured = |info: &&ChainInfo| site.config.chains.iter().any(|chain| chain.id == info.id);
    let submissions: u64 =
        view.chains.iter().filter(configured).map(|info| blocks_a_day(info.level)).sum();
    let day = one.saturating_mul(alloy_primitives::U256::from(submissions.max(1)));
    let found = format!("{} has {} GRID", account.address, format_ether(balance));
    let fix = "send GRID to the account";
    if balance < one {
        let expected =
            format!("at least {} GRID, the most that one submission costs", format_ether(one));
        return vec![Finding::problem(check, path, expected, found, fix)];
    }
    let week = day.saturating_mul(alloy_primitives::U256::from(FEW_DAYS));
    if balance < week {
        let expected = format!("{} GRID, the most that {FEW_DAYS} days cost", format_ether(week));
        return vec![Finding::problem(check, path, expected, found, fix).only_a_warning()];
    }
    vec![Finding::good(check, path, format!("{found}, enough for {FEW_DAYS} days and more"))]
}

/// How many blocks a chain of a level makes in a day, as most of its kind do.
const fn blocks_a_day(level: Level) -> u64 {
    86_400
        / match level {
            Level::L0 => 2,
            Level::L1 => 12,
            Level::L2 => 150,
            Level::L3 => 600,
        }
}
