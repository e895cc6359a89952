//! `grid guarantee`.

use alloy_primitives::{Address, B256, U256};
use clap::{Args, Subcommand};
use grid_core::ChainId;

use super::{BlockArg, SendingArgs, staking::amount};

/// `grid guarantee`.
#[derive(Debug, Subcommand)]
pub(crate) enum GuaranteeCommand {
    /// What it costs to cover a payment that is in a block but not confirmed yet.
    Quote(QuoteArgs),
    /// Cover a payment: pay the premium; the beneficiary is paid if the payment is lost.
    Request(RequestArgs),
    /// The pool, the chains with terms, the open guarantees, and what an account has in the pool.
    List(ListArgs),
    /// How a guarantee stands, why, and what can be done.
    Explain(ExplainArgs),
    /// End a guarantee whose payment is confirmed, in its own block or in another one.
    Settle(EndArgs),
    /// Have the beneficiary of a guarantee paid whose payment did not come in time.
    Claim(ClaimArgs),
    /// Settle and claim whatever can be ended, again and again: for underwriters and beneficiaries.
    Keep(KeepArgs),
    /// Put GRID into the pool that pays for lost payments, and earn the premiums.
    Underwrite(UnderwriteArgs),
    /// Announce that GRID will be taken out of the pool.
    Leave(ShareArgs),
    /// Take out of the pool what was announced, in its time.
    Withdraw(ShareArgs),
    /// Set the terms on which a chain's payments are covered; the governor only.
    Terms(TermsArgs),
}

/// Which payment.
#[derive(Debug, Args)]
pub(crate) struct PaymentArgs {
    /// Transaction id as displayed.
    pub(crate) txid: String,
    #[command(flatten)]
    pub(crate) block: BlockArg,
    /// Which chain, where the configuration has several of the kind.
    #[arg(long, value_name = "ID")]
    pub(crate) on: Option<ChainId>,
    /// Try again for so long: until the payment is in a block, and the main chain covers it.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) wait: humantime::Duration,
}

/// `grid guarantee quote`.
#[derive(Debug, Args)]
pub(crate) struct QuoteArgs {
    #[command(flatten)]
    pub(crate) payment: PaymentArgs,
    /// How much to cover, in GRID.
    #[arg(long, value_name = "GRID", value_parser = amount)]
    pub(crate) cover: U256,
}

/// `grid guarantee request`.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) payment: PaymentArgs,
    /// How much to cover, in GRID.
    #[arg(long, value_name = "GRID", value_parser = amount)]
    pub(crate) cover: U256,
    /// Who is paid if the payment is lost; the key itself where absent.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) beneficiary: Option<Address>,
    /// Blocks from the newest tracked one in which the payment may still be mined again if its block is lost; where
    /// absent, twice the least.
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) within: Option<u64>,
    /// The most to pay, in GRID; a quarter above the quote where absent. Only the premium of the block that takes the request is taken.
    #[arg(long, value_name = "GRID", value_parser = amount)]
    pub(crate) max_premium: Option<U256>,
    /// The key that pays, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid guarantee list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this chain.
    #[arg(long, value_name = "ID")]
    pub(crate) on: Option<ChainId>,
    /// Whose shares in the pool to show; the key `user` of the home folder where absent.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) of: Option<Address>,
}

/// `grid guarantee explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Id of the guarantee.
    pub(crate) id: B256,
    #[command(flatten)]
    pub(crate) block: BlockArg,
}

/// `grid guarantee settle`.
#[derive(Debug, Args)]
pub(crate) struct EndArgs {
    /// Id of the guarantee.
    pub(crate) id: B256,
    #[command(flatten)]
    pub(crate) block: BlockArg,
    /// Try again for so long, until it can be ended.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) wait: humantime::Duration,
    /// The key that pays the fee, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid guarantee claim`.
#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// Id of the guarantee.
    pub(crate) id: B256,
    /// Try again for so long, until it can be ended.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) wait: humantime::Duration,
    /// The key that pays the fee, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid guarantee keep`.
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) every: humantime::Duration,
    /// Look once.
    #[arg(long)]
    pub(crate) once: bool,
    /// The key that pays the fees, by name in keys/ or as a file; nothing else should send with it meanwhile.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
}

/// `grid guarantee underwrite`.
#[derive(Debug, Args)]
pub(crate) struct UnderwriteArgs {
    /// How much, in GRID.
    #[arg(value_name = "GRID", value_parser = amount)]
    pub(crate) amount: U256,
    /// The key that underwrites, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid guarantee leave` and `withdraw`.
#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// How much, in GRID; everything where absent.
    #[arg(value_name = "GRID", value_parser = amount)]
    pub(crate) amount: Option<U256>,
    /// The key that underwrote, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid guarantee terms`.
#[derive(Debug, Args)]
pub(crate) struct TermsArgs {
    /// CAIP-2 id of the chain.
    pub(crate) chain: ChainId,
    /// The attacker's assumed share of the hash rate, parts per million.
    #[arg(long, value_name = "PPM", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..500_000))]
    pub(crate) attacker_share: u32,
    /// Seconds between the network's blocks.
    #[arg(long, value_name = "SECS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) spacing: u32,
    /// What a block is worth to its miner, in GRID, with room for prices to move: it limits the cover. A value above the
    /// worth lets a miner gain from guarantees.
    #[arg(long, value_name = "GRID", value_parser = amount, required_unless_present = "close")]
    pub(crate) block_value: Option<U256>,
    /// Give no new guarantees; what is open stays.
    #[arg(long, conflicts_with = "block_value")]
    pub(crate) close: bool,
    /// The governor's key, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "validator")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}
