//! `trust.json`: the header of a Grid chain that `grid verify` trusts.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::B256;
use eyre::{Result, WrapErr as _, bail, eyre};
use grid_core::{
    genesis::{self, Genesis},
    grid::{
        ValidatorSet,
        light::{LightPolicy, TrustedState},
    },
};
use serde::{Deserialize, Serialize};

/// Content of a trust file. Hand it to an auditor by a way that you trust: everything that `grid verify`
/// says rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrustFile {
    /// Number in `eip155:<n>` of the Grid chain.
    chain_id: u64,
    /// The trusted header.
    height: u64,
    /// Its hash.
    block_hash: B256,
    /// Its time, milliseconds since 1970.
    time_ms: u64,
    /// How long after its time it may be trusted, milliseconds: shorter than a validator's stake is bound after it
    /// left. Absent on a chain whose validators cannot leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trusting_period_ms: Option<u64>,
    /// The end of that time, for people: it follows from the two numbers above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trusted_until: Option<String>,
    /// Who decides the block above it, by increasing address.
    validators: ValidatorSet,
}

impl TrustFile {
    /// Trusts the genesis of a chain that makes at most one block in every `block_interval`: two thirds of the time
    /// for which a stake stays bound.
    pub(crate) fn of_genesis(genesis: &Genesis, block_interval: Duration) -> Result<Self> {
        let block = genesis::build(genesis).wrap_err("the genesis is not usable")?;
        let header = alloy_rlp::encode(&block.block.header);
        let state = TrustedState::new(genesis.chain_id, &header, block.next_validators)?;
        let params = genesis.staking.as_ref().map(|staking| &staking.params);
        let period = params.map(|params| {
            let blocks = params.epoch_length.saturating_mul(params.unbonding_epochs.into());
            let interval = u64::try_from(block_interval.as_millis()).unwrap_or(u64::MAX);
            // A third is left to hear of a contradiction and to have it punished.
            blocks.saturating_mul(interval) / 3 * 2
        });
        Ok(Self::new(state, period))
    }

    /// Trusts a header.
    pub(crate) fn new(state: TrustedState, trusting_period_ms: Option<u64>) -> Self {
        let until = trusting_period_ms.map(|period| rfc3339(state.time_ms.saturating_add(period)));
        Self {
            chain_id: state.chain_id,
            height: state.height,
            block_hash: state.block_hash,
            time_ms: state.time_ms,
            trusting_period_ms,
            trusted_until: until,
            validators: state.validators,
        }
    }

    /// Reads a trust file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).wrap_err_with(|| {
            format!(
                "cannot read the trust file {} (give another with --trust, or --block-hash)",
                file.display()
            )
        })?;
        let read: Self = serde_json::from_str(&text).wrap_err_with(|| {
            format!(
                "{} is not a trust file (chainId, height, blockHash, timeMs, validators)",
                file.display()
            )
        })?;
        if read != Self::new(read.state(), read.trusting_period_ms) {
            bail!(
                "{}: trustedUntil does not follow from timeMs and trustingPeriodMs; the file was changed by hand",
                file.display()
            );
        }
        Ok(read)
    }

    /// Writes a trust file.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_string_pretty(self)? + "\n")
            .wrap_err_with(|| format!("cannot write {}", file.display()))
    }

    /// The trusted header.
    pub(crate) fn state(&self) -> TrustedState {
        TrustedState {
            chain_id: self.chain_id,
            height: self.height,
            block_hash: self.block_hash,
            time_ms: self.time_ms,
            validators: self.validators.clone(),
        }
    }

    /// How long after its time a header is trusted.
    pub(crate) const fn trusting_period_ms(&self) -> Option<u64> {
        self.trusting_period_ms
    }

    /// The end of the trust, for people; `None` where the validators cannot leave.
    pub(crate) fn until(&self) -> Option<&str> {
        self.trusted_until.as_deref()
    }

    /// The light client's rules for this chain.
    pub(crate) fn policy(&self) -> LightPolicy {
        let trusting_period_ms = self.trusting_period_ms.unwrap_or(u64::MAX);
        LightPolicy { trusting_period_ms, ..LightPolicy::default() }
    }
}

/// A time in milliseconds since 1970, for people.
pub(crate) fn rfc3339(ms: u64) -> String {
    // Later than the year 9999 has no such form.
    if ms > 253_402_300_799_999 {
        return "always".into();
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// The time of a verification in milliseconds since 1970: the one given in seconds, or the clock's.
pub(crate) fn now_ms(given: Option<u64>) -> Result<u64> {
    match given {
        Some(secs) => secs.checked_mul(1_000).ok_or_else(|| eyre!("--now {secs} is too far away")),
        None => {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .wrap_err("the clock is before 1970")?;
            Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use grid_core::grid::Validator;

    use super::*;

    fn state() -> TrustedState {
        let member = Validator { account: Address::repeat_byte(1), power: 1 };
        TrustedState {
            chain_id: 7,
            height: 5,
            block_hash: B256::repeat_byte(5),
            time_ms: 1_700_000_000_000,
            validators: ValidatorSet::new(vec![member]).unwrap(),
        }
    }

    #[test]
    fn the_end_of_the_trust_is_in_the_file_and_cannot_be_moved() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trust.json");
        let day = 24 * 60 * 60 * 1_000;
        let trust = TrustFile::new(state(), Some(day));
        trust.write(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\"trustedUntil\": \"2023-11-15T22:13:20Z\""), "{text}");
        assert_eq!(TrustFile::read(&file).unwrap(), trust);
        assert_eq!(trust.state(), state());
        assert_eq!(trust.policy().trusting_period_ms, day);
        fs::write(&file, text.replace("2023-11-15", "2033-11-15")).unwrap();
        assert!(TrustFile::read(&file).unwrap_err().to_string().contains("changed by hand"));

        let forever = TrustFile::new(state(), None);
        forever.write(&file).unwrap();
        assert_eq!(TrustFile::read(&file).unwrap(), forever);
        assert_eq!(forever.until(), None);
        state().check_age(&forever.policy(), u64::MAX - 1).unwrap();
    }
}
