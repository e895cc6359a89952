//! `grid staking status`.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256, utils::format_ether};
use eyre::Result;
use grid_core::{grid::ValidatorSet, modules::abi::Staking, staking::StakingParams};
use serde::Serialize;

use super::Contract;
use crate::{
    args::StakingStatusArgs,
    home::Home,
    keys,
    output::{Output, table},
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    height: u64,
    epoch: u64,
    first_height: u64,
    last_height: u64,
    reserve: U256,
    counted_blocks: u64,
    params: StakingParams,
    delegates: Vec<DelegateStatus>,
    holder: Option<Address>,
    stakes: Vec<Stake>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DelegateStatus {
    delegate: Address,
    owner: Address,
    tokens: U256,
    commission: u16,
    /// Its voting power, where it has a seat.
    power: Option<u64>,
    /// Counted blocks of this epoch that it signed, where it has a seat.
    signed: Option<u64>,
    candidate: bool,
    jailed_until: u64,
}

/// What a holder has with a delegate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stake {
    delegate: Address,
    tokens: U256,
    waiting: Vec<Waiting>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    epoch: u64,
    tokens: U256,
    free_from: u64,
}

pub(super) async fn run(
    home: &Home,
    contract: &Contract,
    args: &StakingStatusArgs,
    out: Output,
) -> Result<()> {
    let height = contract.rpc.tip().await?.height;
    let params = contract.params().await?;
    let epoch = contract.read(&Staking::epochCall {}).await?;
    let set = contract.rpc.validators().await?;
    let local = keys::list(&home.keys_dir()).unwrap_or_default();
    let named = |name: &str| local.iter().find(|key| key.name == name).map(|key| key.address);
    let holder = args.of.or_else(|| named("user")).or_else(|| named("validator"));

    let attendance = contract.read(&Staking::attendanceCall {}).await?;
    let candidates = contract.read(&Staking::candidatesCall {}).await?;
    let mut accounts: BTreeSet<Address> = candidates.iter().copied().collect();
    accounts.extend(set.as_slice().iter().map(|validator| validator.account));
    let mut delegates = Vec::new();
    for delegate in accounts {
        delegates.push(read_delegate(contract, delegate, &set, &attendance.signed).await?);
    }
    // A jailed delegate of this home that has lost its seat is on neither list.
    if let Some(own) = named("validator")
        && delegates.iter().all(|one| one.delegate != own)
        && let Ok(own) = read_delegate(contract, own, &set, &attendance.signed).await
    {
        delegates.push(own);
    }
    delegates.sort_by_key(|one| (std::cmp::Reverse(one.tokens), one.delegate));
    let stakes = match holder {
        Some(holder) => stakes(contract, &params, epoch.number, holder, &delegates).await?,
        None => Vec::new(),
    };
    let status = Status {
        height,
        epoch: epoch.number,
        first_height: epoch.firstHeight,
        last_height: epoch.lastHeight,
        reserve: contract.read(&Staking::reserveCall {}).await?,
        counted_blocks: attendance.counted,
        params,
        delegates,
        holder,
        stakes,
    };
    out.show(&status, people)
}

async fn read_delegate(
    contract: &Contract,
    delegate: Address,
    set: &ValidatorSet,
    signed: &[u64],
) -> Result<DelegateStatus> {
    let info = contract.read(&Staking::delegateInfoCall { delegate }).await?;
    let seat = set.as_slice().iter().position(|one| one.account == delegate);
    Ok(DelegateStatus {
        delegate,
        owner: info.owner,
        tokens: info.tokens,
        commission: info.commission,
        power: set.power(&delegate),
        signed: seat.map(|seat| signed.get(seat).copied().unwrap_or(0)),
        candidate: info.candidate,
        jailed_until: info.jailedUntil,
    })
}

async fn stakes(
    contract: &Contract,
    params: &StakingParams,
    now: u64,
    holder: Address,
    delegates: &[DelegateStatus],
) -> Result<Vec<Stake>> {
    let mut stakes = Vec::new();
    for DelegateStatus { delegate, .. } in delegates {
        let delegate = *delegate;
        let tokens = contract.read(&Staking::stakeOfCall { delegate, holder }).await?.tokens;
        let unbonding = u64::from(params.unbonding_epochs);
        let waiting: Vec<_> = contract
            .waiting(params, now, delegate, holder)
            .await?
            .into_iter()
            .map(|(epoch, tokens)| Waiting {
                epoch,
                tokens,
                free_from: epoch.saturating_add(unbonding).saturating_add(1),
            })
            .collect();
        if !tokens.is_zero() || !waiting.is_empty() {
            stakes.push(Stake { delegate, tokens, waiting });
        }
    }
    Ok(stakes)
}

fn people(status: &Status) -> String {
    let total: u64 = status.delegates.iter().filter_map(|one| one.power).sum();
    let rows = status.delegates.iter().map(|one| {
        [
            one.delegate.to_string(),
            format_ether(one.tokens),
            parts(one.commission),
            one.power.map_or_else(|| "—".into(), |power| share(power, total)),
            one.signed.map_or_else(
                || "—".into(),
                |signed| format!("{signed} of {}", status.counted_blocks),
            ),
            state(one),
        ]
    });
    let mut text = format!(
        "epoch {}: blocks {} to {}, now {}; {} seats, self-bond {} GRID, {} epochs of unbonding\nreserve for rewards {} GRID\n\n{}",
        status.epoch,
        status.first_height,
        status.last_height,
        status.height,
        status.params.max_validators,
        format_ether(U256::from(status.params.min_self_bond)),
        status.params.unbonding_epochs,
        format_ether(status.reserve),
        table(["DELEGATE", "STAKE", "COMMISSION", "POWER", "SIGNED", "STATE"], rows)
    );
    if let Some(holder) = status.holder {
        text.push_str(&format!("\nstakes of {holder}\n"));
        if status.stakes.is_empty() {
            text.push_str("  none\n");
        }
        for stake in &status.stakes {
            text.push_str(&format!("  {}  {} GRID\n", stake.delegate, format_ether(stake.tokens)));
            for one in &stake.waiting {
                text.push_str(&format!(
                    "    {} GRID taken back in epoch {}, free from epoch {}\n",
                    format_ether(one.tokens),
                    one.epoch,
                    one.free_from
                ));
            }
        }
    }
    text
}

fn state(delegate: &DelegateStatus) -> String {
    match (delegate.jailed_until, delegate.power, delegate.candidate) {
        (0, Some(_), _) => "validator".into(),
        (0, None, true) => "candidate".into(),
        (0, None, false) => "self-bond too small".into(),
        (until, ..) => format!("jailed, may leave from epoch {until}"),
    }
}

/// Parts of 10,000 as a percentage.
fn parts(parts: u16) -> String {
    format!("{}.{:02} %", parts / 100, parts % 100)
}

/// A share of the voting power as a percentage.
fn share(power: u64, total: u64) -> String {
    let parts = u128::from(power) * 10_000 / u128::from(total.max(1));
    self::parts(u16::try_from(parts).unwrap_or(10_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delegate(jailed_until: u64, power: Option<u64>, candidate: bool) -> DelegateStatus {
        DelegateStatus {
            delegate: Address::repeat_byte(1),
            owner: Address::repeat_byte(2),
            tokens: U256::from(5u64) * U256::from(10u64).pow(U256::from(18)),
            commission: 1_005,
            power,
            signed: power.map(|_| 3),
            candidate,
            jailed_until,
        }
    }

    #[test]
    fn the_status_says_who_has_a_seat_and_what_is_at_stake() {
        let status = Status {
            height: 12,
            epoch: 1,
            first_height: 11,
            last_height: 20,
            reserve: U256::ZERO,
            counted_blocks: 4,
            params: StakingParams::default(),
            delegates: vec![
                delegate(0, Some(3), true),
                delegate(0, None, true),
                delegate(0, None, false),
                delegate(7, Some(1), false),
            ],
            holder: Some(Address::repeat_byte(9)),
            stakes: vec![Stake {
                delegate: Address::repeat_byte(1),
                tokens: U256::from(10u64).pow(U256::from(17)),
                waiting: vec![Waiting { epoch: 1, tokens: U256::ONE, free_from: 58 }],
            }],
        };
        let text = people(&status);
        for expected in [
            "epoch 1: blocks 11 to 20, now 12",
            "10.05 %",
            "75.00 %",
            "3 of 4",
            "candidate",
            "self-bond too small",
            "jailed, may leave from epoch 7",
            "0.100000000000000000 GRID",
            "free from epoch 58",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }
}
