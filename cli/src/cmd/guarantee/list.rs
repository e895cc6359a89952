//! `grid guarantee list`.

use alloy_primitives::{Address, U256, utils::format_ether};
use eyre::{Result, ensure};
use grid_core::{
    ChainId, Security,
    api::ChainInfo,
    guarantee::GuaranteeParams,
    modules::abi::Guarantee::{self, holdingReturn},
};
use serde::Serialize;

use super::{Contract, Shown};
use crate::{
    args::ListArgs,
    home::Home,
    keys,
    output::{Output, short, table},
    trust::rfc3339,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    params: GuaranteeParams,
    pool: Pool,
    chains: Vec<Chain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holding: Option<Holding>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Pool {
    free: U256,
    locked: U256,
    cover: U256,
    shares: U256,
    /// All that ever came in and went out.
    deposited: U256,
    withdrawn: U256,
    premiums: U256,
    paid: U256,
}

/// A chain with terms, or with guarantees that are still open.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    chain: ChainId,
    /// Parts per million; zero where the chain is closed, as the other terms.
    attacker_share: u32,
    spacing: u32,
    block_value: U256,
    cover: U256,
    guarantees: Vec<Shown>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Holding {
    holder: Address,
    shares: U256,
    tokens: U256,
    leaving: U256,
    from_ms: u64,
    until_ms: u64,
}

pub(super) async fn run(
    home: &Home,
    contract: &Contract,
    args: &ListArgs,
    out: Output,
) -> Result<()> {
    let local = keys::list(&home.keys_dir()).unwrap_or_default();
    let user = local.iter().find(|key| key.name == "user").map(|key| key.address);
    let params = contract.params().await?;
    let mut chains = Vec::new();
    for info in contract.rpc.chains().await? {
        if info.security == Security::ProofOfWork
            && args.on.as_ref().is_none_or(|on| *on == info.id)
        {
            chains.extend(chain(contract, &info).await?);
        }
    }
    if let Some(on) = &args.on {
        ensure!(!chains.is_empty(), "chain {on} has no terms and no guarantees");
    }
    let holding = match args.of.or(user) {
        Some(holder) => {
            let held = contract.read(&Guarantee::holdingCall { holder }).await?;
            Some(Holding::new(holder, &held))
        }
        None => None,
    };
    let listed = Listed { params, pool: pool(contract).await?, chains, holding };
    out.show(&listed, people)
}

async fn pool(contract: &Contract) -> Result<Pool> {
    let pool = contract.read(&Guarantee::poolCall {}).await?;
    let totals = contract.read(&Guarantee::totalsCall {}).await?;
    Ok(Pool {
        free: pool.free,
        locked: pool.locked,
        cover: pool.cover,
        shares: pool.shares,
        deposited: totals.deposited,
        withdrawn: totals.withdrawn,
        premiums: totals.premiums,
        paid: totals.paid,
    })
}

async fn chain(contract: &Contract, info: &ChainInfo) -> Result<Option<Chain>> {
    let terms = contract.read(&Guarantee::termsCall { chain: info.key }).await?;
    let open = contract.read(&Guarantee::openOfCall { chain: info.key }).await?;
    if terms.blockValue.is_zero() && open.ids.is_empty() {
        return Ok(None);
    }
    let mut guarantees = Vec::new();
    for id in open.ids {
        let found = contract.read(&Guarantee::guaranteeOfCall { id }).await?;
        guarantees.push(Shown::new(id, &found, info));
    }
    Ok(Some(Chain {
        chain: info.id.clone(),
        attacker_share: terms.attackerShare,
        spacing: terms.spacing,
        block_value: terms.blockValue,
        cover: open.cover,
        guarantees,
    }))
}

impl Holding {
    const fn new(holder: Address, held: &holdingReturn) -> Self {
        Self {
            holder,
            shares: held.shares,
            tokens: held.tokens,
            leaving: held.leaving,
            from_ms: held.fromMs,
            until_ms: held.untilMs,
        }
    }
}

fn people(listed: &Listed) -> String {
    let grid = |amount: U256| format_ether(amount);
    let Pool { free, locked, cover, premiums, paid, .. } = listed.pool;
    let mut text = format!(
        "pool: {} GRID free, {} GRID locked as cover, {} GRID premiums not earned yet; ever: {} GRID of premiums, {} GRID paid\n",
        grid(free),
        grid(cover),
        grid(locked.saturating_sub(cover)),
        grid(premiums),
        grid(paid)
    );
    if listed.chains.is_empty() {
        text.push_str("no chain has terms; the governor sets them with `grid guarantee terms`\n");
    }
    for chain in &listed.chains {
        text.push_str(&format!("\n{}: {}\n", chain.chain, terms(chain)));
        let rows = chain.guarantees.iter().map(|one| {
            [
                one.id.to_string(),
                short(&one.txid),
                one.height.to_string(),
                one.deadline.to_string(),
                grid(one.cover),
                grid(one.premium),
                one.beneficiary.to_string(),
            ]
        });
        let head = ["GUARANTEE", "PAYMENT", "BLOCK", "DEADLINE", "COVER", "PREMIUM", "BENEFICIARY"];
        text.push_str(&if chain.guarantees.is_empty() {
            "  nothing is covered now\n".into()
        } else {
            table(head, rows)
        });
    }
    if let Some(held) = listed.holding.as_ref().filter(|held| !held.shares.is_zero()) {
        text.push_str(&format!("\n{} has {} GRID in the pool", held.holder, grid(held.tokens)));
        if !held.leaving.is_zero() {
            let times = (rfc3339(held.from_ms), rfc3339(held.until_ms));
            text.push_str(&format!(
                "; {} of {} shares can be taken out from {} to {}",
                held.leaving, held.shares, times.0, times.1
            ));
        }
        text.push('\n');
    }
    text
}

fn terms(chain: &Chain) -> String {
    if chain.block_value.is_zero() {
        return "closed for new guarantees".into();
    }
    format!(
        "an attacker is assumed to have {}.{:04} % of the hash rate, a block every {} s counts {} GRID; {} GRID covered",
        chain.attacker_share / 10_000,
        chain.attacker_share % 10_000,
        chain.spacing,
        format_ether(chain.block_value),
        format_ether(chain.cover)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(amount: u64) -> U256 {
        U256::from(amount) * U256::from(10u64).pow(U256::from(18))
    }

    #[test]
    fn the_list_says_what_is_covered_and_who_stands_behind_it() {
        let shown = Shown {
            id: alloy_primitives::B256::repeat_byte(7),
            status: "guaranteed".into(),
            chain: "bip122:1".into(),
            txid: "ab".repeat(32),
            block: "cd".repeat(32),
            height: 105,
            deadline: 117,
            cover: units(50),
            premium: units(15),
            beneficiary: Address::repeat_byte(2),
            payer: Address::repeat_byte(3),
        };
        let chain = |value: u64, guarantees| Chain {
            chain: "bip122:000000000019d6689c085ae165831e93".parse().unwrap(),
            attacker_share: 125_000,
            spacing: 600,
            block_value: units(value),
            cover: units(50),
            guarantees,
        };
        let listed = Listed {
            params: GuaranteeParams::default(),
            pool: Pool {
                free: units(450),
                locked: units(65),
                cover: units(50),
                shares: U256::from(1_000),
                deposited: units(500),
                withdrawn: U256::ZERO,
                premiums: units(15),
                paid: U256::ZERO,
            },
            chains: vec![chain(100, vec![shown]), chain(0, Vec::new())],
            holding: Some(Holding {
                holder: Address::repeat_byte(9),
                shares: U256::from(1_000),
                tokens: units(500),
                leaving: U256::from(10),
                from_ms: 0,
                until_ms: 1_000,
            }),
        };
        let text = people(&listed);
        for expected in [
            "450.000000000000000000 GRID free",
            "15.000000000000000000 GRID premiums not earned yet",
            "12.5000 %",
            "105",
            "117",
            "closed for new guarantees",
            "nothing is covered now",
            "10 of 1000 shares",
        ] {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }
}
