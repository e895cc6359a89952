//! The mempool against a model that is slow and plain: a list of transactions.

use alloy_eips::eip2718::Encodable2718 as _;
use proptest::prelude::*;

use super::*;

const LIMITS: MempoolLimits = MempoolLimits {
    count: 12,
    bytes: 2_400,
    transaction_bytes: 600,
    per_sender: 5,
    sender_bytes: 1_500,
    protected: 2,
    nonce_gap: 6,
    lifetime: Duration::from_secs(3_600),
};

#[derive(Debug, Clone)]
enum Step {
    Add {
        sender: u8,
        nonce: u64,
        fee: u128,
        size: usize,
    },
    /// A block with the first candidates, and money that moves.
    Block {
        gas: u64,
        base_fee: u64,
        moved: Vec<(u8, u64)>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let add = (0u8..6, 0u64..12, 1u128..40, 0usize..400)
        .prop_map(|(sender, nonce, fee, size)| Step::Add { sender, nonce, fee, size });
    let moved = proptest::collection::vec((0u8..6, 0u64..30), 0..3);
    let block = (0u64..8, 0u64..20, moved).prop_map(|(count, base_fee, moved)| Step::Block {
        gas: count * 21_000,
        base_fee,
        moved,
    });
    prop_oneof![6 => add, 1 => block]
}

/// Accounts, and what waits as the model knows it.
struct Model {
    accounts: Vec<Account>,
    waiting: Vec<Recovered<TxEnvelope>>,
}

impl Model {
    fn of(&self, sender: u8) -> impl Iterator<Item = &Recovered<TxEnvelope>> {
        self.waiting.iter().filter(move |one| one.signer().0[0] == sender)
    }

    fn cost(one: &Recovered<TxEnvelope>) -> U256 {
        U256::from(one.max_fee_per_gas()) * U256::from(one.gas_limit()) + one.value()
    }

    /// Whether the bounds of one sender and the rule of replacement allow it. Room is not looked at.
    fn allows(&self, new: &Recovered<TxEnvelope>) -> bool {
        let sender = new.signer().0[0];
        let account = self.accounts[usize::from(sender)];
        let others: Vec<_> = self.of(sender).filter(|one| one.nonce() != new.nonce()).collect();
        let old = self.of(sender).find(|one| one.nonce() == new.nonce());
        let size = |one: &Recovered<TxEnvelope>| one.encode_2718_len();
        let dearer = |old: &Recovered<TxEnvelope>| {
            new.max_fee_per_gas() > old.max_fee_per_gas()
                && new.max_fee_per_gas() * 10 >= old.max_fee_per_gas() * 11
        };
        let all = others.iter().copied().chain([new]);
        size(new) <= LIMITS.transaction_bytes
            && (account.nonce..=account.nonce + LIMITS.nonce_gap).contains(&new.nonce())
            && old.is_none_or(dearer)
            && others.len() < LIMITS.per_sender
            && all.clone().map(size).sum::<usize>() <= LIMITS.sender_bytes
            && all.map(Self::cost).fold(U256::ZERO, |sum, cost| sum + cost) <= account.balance
    }

    /// Follows what the mempool did: what it no longer has must have had a reason to go.
    fn added(&mut self, pool: &Mempool, new: Recovered<TxEnvelope>) {
        self.waiting.retain(|one| (one.signer(), one.nonce()) != (new.signer(), new.nonce()));
        let (kept, gone): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|one| pool.contains(one.tx_hash()));
        self.waiting = kept;
        for one in &gone {
            assert_ne!(one.signer(), new.signer(), "a newcomer pushes out only strangers");
            let later = self.of(one.signer().0[0]).any(|other| other.nonce() > one.nonce());
            assert!(!later, "only the end of a queue is pushed out");
        }
        self.waiting.push(new);
    }
}

fn play(steps: Vec<Step>) {
    let pool = Mempool::new(LIMITS);
    let account = Account { nonce: 0, balance: U256::from(21_000 * 90) };
    let mut model = Model { accounts: vec![account; 6], waiting: Vec::new() };
    for step in steps {
        match step {
            Step::Add { sender, nonce, fee, size } => {
                let new = transaction(sender, nonce, fee, size);
                let known = pool.contains(new.tx_hash());
                let before = pool.content();
                match pool.add(new.clone(), model.accounts[usize::from(sender)]) {
                    Ok(_) => {
                        assert!(model.allows(&new) && !known);
                        model.added(&pool, new);
                    }
                    Err(error) => {
                        let full = matches!(error, MempoolError::Full { .. });
                        assert!(full || known || !model.allows(&new), "{error}");
                        assert_eq!(pool.content(), before, "a refusal changes nothing");
                    }
                }
            }
            Step::Block { gas, base_fee, moved } => block(&pool, &mut model, gas, base_fee, &moved),
        }
        pool.pool().assert_whole(&LIMITS);
        let mut expected: Vec<_> = model.waiting.iter().map(|one| *one.tx_hash()).collect();
        let mut found = pool.waiting(Duration::ZERO);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}

fn block(pool: &Mempool, model: &mut Model, gas: u64, base_fee: u64, moved: &[(u8, u64)]) {
    let chosen = pool.candidates(base_fee, Room::new(gas, usize::MAX));
    let mut touched = BTreeSet::new();
    for one in &chosen {
        let account = &mut model.accounts[usize::from(one.signer().0[0])];
        assert_eq!(one.nonce(), account.nonce, "no gap, no repetition");
        assert!(one.max_fee_per_gas() >= u128::from(base_fee));
        account.nonce += 1;
        account.balance = account.balance.checked_sub(Model::cost(one)).expect("it is paid for");
        touched.insert(one.signer());
    }
    for (sender, fees) in moved {
        model.accounts[usize::from(*sender)].balance = U256::from(21_000 * fees);
        touched.insert(Address::repeat_byte(*sender));
    }
    let accounts = model.accounts.clone();
    let account_of = |address: &Address| Ok::<_, Infallible>(accounts[usize::from(address.0[0])]);
    pool.refresh(Instant::now(), base_fee, &touched, account_of, |_| true).unwrap();
    let mut left: Vec<U256> = accounts.iter().map(|account| account.balance).collect();
    model.waiting.sort_by_key(|one| (one.signer(), one.nonce()));
    model.waiting.retain(|one| {
        let sender = usize::from(one.signer().0[0]);
        let rest = left[sender].checked_sub(Model::cost(one));
        let keeps = one.nonce() >= accounts[sender].nonce && rest.is_some();
        if let (true, Some(rest)) = (keeps, rest) {
            left[sender] = rest;
        }
        keeps
    });
    // The best that is ready earns at least as much as any other that is ready.
    let next = pool.candidates(base_fee, Room::new(u64::MAX, usize::MAX));
    assert_eq!(pool.has_work(), !next.is_empty());
    let best = model
        .waiting
        .iter()
        .filter(|one| one.nonce() == accounts[usize::from(one.signer().0[0])].nonce)
        .filter_map(|one| one.effective_tip_per_gas(base_fee))
        .max();
    assert_eq!(next.first().and_then(|one| one.effective_tip_per_gas(base_fee)), best);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_behaves_as_the_model(steps in proptest::collection::vec(step(), 0..80)) {
        play(steps);
    }
}
