//! A pool, a Bitcoin-like network that is mined for it, and what is asked of both.

#![allow(clippy::cast_possible_truncation)]

use alloy_primitives::{Address, B256, U128, U256, hex};

use super::{
    ops::{Order, claim, deposit, leave, quote, request, settle, settle_in, withdraw},
    records::{read_book, read_guarantee, read_holding, read_open},
    *,
};
use crate::{
    Family, Level, Security,
    bitcoin::{
        BitcoinClient, Header, NetworkParams,
        spv::BlockTxs,
        testing::{child, mine},
    },
    confirm::ConfirmationRule,
    modules::{ChainRecord, ChainStatus, ClientParams, abi::GUARANTEE},
    state::{Account, MemoryState, Overlay, keys},
};

mod bitcoin;
mod chance;
mod economy;
mod game;
mod long_run;
mod pool;
mod properties;

use chance::Chance;

const UNIT: u128 = 1_000_000_000_000_000_000;
const RICH: u128 = 1_000_000 * UNIT;
const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const CAROL: Address = Address::repeat_byte(0xca);
const PEOPLE: [Address; 3] = [ALICE, BOB, CAROL];
/// Confirmations that the registered rule asks for.
const DEPTH: u64 = 6;

/// A network of its own: sixteen blocks of 2 s a period, some 256 tries a block.
fn tiny() -> NetworkParams {
    let regtest = Header::parse(&NetworkParams::regtest().genesis.0);
    let genesis = mine(Header { bits: 0x2000_ffff, nonce: 0, ..regtest });
    NetworkParams {
        name: "tiny".into(),
        genesis: genesis.to_bytes().into(),
        pow_limit: U256::MAX >> 8,
        timespan: 32,
        spacing: 2,
        no_retargeting: false,
        allow_min_difficulty: false,
        ..NetworkParams::regtest()
    }
}

fn params() -> GuaranteeParams {
    GuaranteeParams {
        min_term: 3,
        max_term: 20,
        grace: 4,
        min_age_secs: 0,
        withdraw_delay_secs: 100,
        withdraw_window_secs: 50,
        ..GuaranteeParams::default()
    }
}

fn terms() -> Terms {
    Terms { attacker_share: 100_000, spacing: 2, block_value: U128::from(1_000 * UNIT) }
}

/// A coinbase of a height, and a payment that differs by its number.
fn block_txs(height: u64, payments: &[u32]) -> BlockTxs {
    let push = match height {
        1..=16 => format!("{:02x}", 0x50 + height),
        17..=127 => format!("01{height:02x}"),
        _ => format!("02{:02x}{:02x}", height & 0xff, height >> 8),
    };
    // Three bytes more: with two or one the shorter or the longer heights would make 64 bytes.
    let script = format!("{:02x}{push}000000", push.len() / 2 + 3);
    let coinbase = format!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff{script}ffffffff0100f2052a01000000015100000000"
    );
    let payment = |n: &u32| {
        format!(
            "0100000001{}000000000151ffffffff010700000000000000015100000000",
            hex::encode(n.to_be_bytes().repeat(8))
        )
    };
    let raw: Vec<_> = core::iter::once(coinbase)
        .chain(payments.iter().map(payment))
        .map(|text| hex::decode(text).unwrap())
        .collect();
    BlockTxs::new(&raw).unwrap()
}

/// The source, the pool, and everybody's account.
struct World<'a> {
    overlay: Overlay<'a>,
    network: NetworkParams,
    client: BitcoinClient,
    record: ChainRecord,
    now_ms: u64,
    salt: u64,
}

impl<'a> World<'a> {
    fn new(state: &'a MemoryState) -> Self {
        let network = tiny();
        let record = ChainRecord {
            id: network.chain_id(),
            family: Family::Bitcoin,
            security: Security::ProofOfWork,
            level: Level::L3,
            measured: false,
            rule: ConfirmationRule::Depth { blocks: DEPTH },
            status: ChainStatus::Active,
            client: ClientParams::Bitcoin { network: network.clone().into(), checkpoint: None },
            window: 4_032,
        };
        let mut overlay = Overlay::new(state);
        let genesis = GuaranteeGenesis {
            params: params(),
            chains: vec![TermsOf { chain: record.id.clone(), terms: terms() }],
        };
        genesis.validate(core::slice::from_ref(&record)).unwrap();
        apply_genesis(&mut overlay, &genesis).unwrap();
        for account in PEOPLE {
            Account { nonce: 0, balance: U256::from(RICH) }.store(&mut overlay, &account);
        }
        let client = BitcoinClient::from_genesis(network.clone()).unwrap();
        let now_ms = client.tree().tip().time() * 1_000;
        Self { overlay, network, client, record, now_ms, salt: 0 }
    }

    /// Mines on a block; the time is when it comes.
    fn mine_on(&mut self, parent: B256, payments: &[u32]) -> B256 {
        self.salt += 1;
        let below = self.client.tree().get(&parent).unwrap();
        let height = below.height() + 1;
        // Fifteen blocks in 32 s: the difficulty, which counts the gaps of a period, stays as it is.
        let time = Header::parse(&self.network.genesis.0).time + (height * 32 / 15) as u32;
        let header = child(&self.network, self.client.tree(), &parent, time, self.salt);
        // A salt in the version keeps equal blocks of two branches apart.
        let version = 0x2000_0000 + self.salt as i32;
        let merkle_root = block_txs(height, payments).tree().root();
        let header = mine(Header { version, merkle_root, nonce: 0, ..header });
        self.now_ms = self.now_ms.max(u64::from(time) * 1_000);
        self.client.accept(&header.to_bytes(), self.now_ms).unwrap();
        header.hash()
    }

    fn mine(&mut self, payments: &[u32]) -> B256 {
        let tip = self.client.tree().tip().hash();
        self.mine_on(tip, payments)
    }

    fn mine_empty(&mut self, count: usize) {
        for _ in 0..count {
            self.mine(&[]);
        }
    }

    fn tip(&self) -> u64 {
        self.client.tree().tip().height()
    }

    fn height_of(&self, block: &B256) -> u64 {
        self.client.tree().get(block).unwrap().height()
    }

    fn confirmed(&self) -> Option<u64> {
        self.record.rule.confirmed_height(self.client.tree(), self.now_ms)
    }

    /// Does something, or leaves no trace.
    fn run<T>(
        &mut self,
        act: impl FnOnce(&mut Overlay<'a>, &Source<'_>) -> Result<T, GuaranteeError>,
    ) -> Result<T, GuaranteeError> {
        let confirmed = self.confirmed();
        let source = Source { record: &self.record, tree: self.client.tree(), confirmed };
        let checkpoint = self.overlay.checkpoint();
        let done = act(&mut self.overlay, &source);
        if done.is_err() {
            self.overlay.rollback(checkpoint);
        }
        done
    }

    fn by(&self, account: Address) -> Caller {
        Caller { account, now_ms: self.now_ms }
    }

    fn deposit(&mut self, who: Address, tokens: u128) -> Result<u128, GuaranteeError> {
        let by = self.by(who);
        self.run(|overlay, _| deposit(overlay, &by, U256::from(tokens)))
    }

    fn leave(&mut self, who: Address, shares: u128) -> Result<(u64, u64), GuaranteeError> {
        let by = self.by(who);
        self.run(|overlay, _| leave(overlay, &by, shares))
    }

    fn withdraw(&mut self, who: Address, shares: u128) -> Result<u128, GuaranteeError> {
        let by = self.by(who);
        self.run(|overlay, _| withdraw(overlay, &by, shares))
    }

    fn quote(&mut self, block: B256, cover: u128) -> Result<Quote, GuaranteeError> {
        let now = self.now_ms;
        self.run(|overlay, source| quote(overlay, source, &block, cover, now))
    }

    /// The order of payment 1 of a block that holds these payments.
    fn order(&self, block: B256, payments: &[u32], cover: u128) -> Order {
        Order {
            block,
            proof: block_txs(self.height_of(&block), payments).prove(1).unwrap(),
            cover,
            beneficiary: CAROL,
            deadline: self.tip() + 8,
            value: U256::from(cover),
        }
    }

    fn request(&mut self, who: Address, order: &Order) -> Result<Guarantee, GuaranteeError> {
        let by = self.by(who);
        self.run(|overlay, source| request(overlay, &by, source, order))
    }

    fn settle(&mut self, id: B256) -> Result<Guarantee, GuaranteeError> {
        self.run(|overlay, source| settle(overlay, source, &id))
    }

    fn settle_in(
        &mut self,
        id: B256,
        block: B256,
        payments: &[u32],
        index: u64,
    ) -> Result<(Guarantee, u64), GuaranteeError> {
        let height = self.client.tree().get(&block).map_or(1, |header| header.height());
        let proof = block_txs(height, payments).prove(index).unwrap();
        self.run(|overlay, source| settle_in(overlay, source, &id, &block, &proof))
    }

    fn claim(&mut self, id: B256) -> Result<Guarantee, GuaranteeError> {
        self.run(|overlay, source| claim(overlay, source, &id))
    }

    fn balance(&self, who: Address) -> u128 {
        u128::try_from(Account::load(&self.overlay, &who).unwrap().balance).unwrap()
    }

    fn book(&self) -> Book {
        read_book(&self.overlay).unwrap()
    }

    fn status(&self, id: &B256) -> Option<Status> {
        read_guarantee(&self.overlay, id).unwrap().map(|found| found.status)
    }

    /// What must hold after every call.
    fn check(&self) {
        let book = self.book();
        assert!(book.is_balanced(), "{book:?}");
        assert_eq!(self.balance(GUARANTEE), book.pool + book.locked);
        let open = read_open(&self.overlay, self.record.key()).unwrap();
        assert_eq!(open.iter().map(|one| one.cover).sum::<u128>(), book.cover);
        assert!(book.cover <= book.value());
        for one in open {
            assert_eq!(self.status(&one.id), Some(Status::Guaranteed));
        }
        let shares: u128 =
            PEOPLE.iter().map(|who| read_holding(&self.overlay, who, &book).unwrap().shares).sum();
        assert_eq!(shares, book.shares);
        let supply: u128 = PEOPLE.iter().chain([&GUARANTEE]).map(|who| self.balance(*who)).sum();
        assert_eq!(supply, 3 * RICH);
    }
}
