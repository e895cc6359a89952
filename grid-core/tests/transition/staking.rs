//! Delegated proof of stake through transactions, and a light client that follows it.

use alloy_primitives::{B256, Bytes, Log, U128, U256};
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    genesis::Genesis,
    grid::{
        CommitCertificate, RecoverableSignature, Validator, ValidatorSet, VoteKind,
        light::{Bisection, LightBlock, LightPolicy, Step, TrustedState},
        vote_digest,
    },
    modules::abi::{STAKING, Staking},
    staking::{GenesisDelegate, StakingGenesis, StakingParams},
    state::query,
    transition::{self, ExecutedBlock, TxReject},
};

use crate::{read, support::*};

const BOND: u128 = 100 * GRID;

/// Four wallets, all rich; the first is the only validator, and epochs have five blocks.
fn description(wallets: &[Wallet]) -> Genesis {
    let first = wallets[0].address;
    Genesis {
        validators: vec![Validator { account: first, power: 1 }],
        staking: Some(StakingGenesis {
            params: StakingParams {
                epoch_length: 5,
                unbonding_epochs: 2,
                max_validators: 3,
                min_self_bond: U128::from(BOND),
                block_reward: U128::from(GRID / 10),
                ..StakingParams::default()
            },
            reserve: U128::from(10 * GRID),
            delegates: vec![GenesisDelegate {
                account: first,
                owner: first,
                commission: 1_000,
                bond: U128::from(BOND),
            }],
        }),
        ..genesis(vec![], &wallets.iter().collect::<Vec<_>>())
    }
}

fn wallets() -> Vec<Wallet> {
    (1..=4).map(Wallet::new).collect()
}

fn call(wallet: &Wallet, nonce: u64, value: u128, call: &impl SolCall) -> transition::RecoveredTx {
    wallet.tx(nonce, STAKING, value, 3_000_000, call.abi_encode().into())
}

fn register(wallet: &Wallet, nonce: u64) -> transition::RecoveredTx {
    let register = Staking::registerCall { owner: wallet.address, commission: 0 };
    call(wallet, nonce, 2 * BOND, &register)
}

fn ok(block: &ExecutedBlock) -> Vec<Log> {
    assert!(block.receipts.iter().all(|receipt| receipt.status()), "{:?}", block.receipts);
    block.receipts.iter().flat_map(|receipt| receipt.logs().to_vec()).collect()
}

/// A decided block as a light client sees it, signed by all wallets of the set.
fn light(
    block: &ExecutedBlock,
    deciders: &ValidatorSet,
    wallets: &[Wallet],
    round: u32,
) -> LightBlock {
    let height = block.block.header.number;
    let digest = vote_digest(VoteKind::Precommit, CHAIN_ID, height, round, block.hash);
    let signer = |validator: &Validator| {
        let wallet = wallets.iter().find(|wallet| wallet.address == validator.account).unwrap();
        RecoverableSignature::from(wallet.sign_hash(&digest))
    };
    let signatures = deciders.as_slice().iter().map(signer).collect();
    LightBlock {
        header: alloy_rlp::encode(&block.block.header).into(),
        certificate: CommitCertificate { height, round, block_hash: block.hash, signatures },
        validators: deciders.clone(),
        next_validators: Some(block.next_validators.clone()),
    }
}

#[test]
fn votes_change_the_set_at_the_epochs_end_and_a_light_client_follows() {
    let wallets = wallets();
    let description = description(&wallets);
    let mut chain = Chain::new(&description);
    let supply = chain.supply();
    assert_eq!(supply, U256::from(4_000 * GRID + BOND + 10 * GRID));
    let first = query::validators(&chain.state).unwrap();
    let start =
        TrustedState::new(CHAIN_ID, &alloy_rlp::encode(&chain.parent.header), first.clone())
            .unwrap();
    let mut sets = vec![first.clone(), first];
    let mut blocks = vec![None];
    for height in 1..=20u64 {
        let txs = match height {
            1 => vec![register(&wallets[1], 0), register(&wallets[2], 0)],
            // Both newcomers leave the first validator far behind.
            2 => vec![call(
                &wallets[3],
                0,
                500 * GRID,
                &Staking::delegateCall { delegate: wallets[1].address },
            )],
            12 => vec![register(&wallets[3], 1)],
            _ => vec![],
        };
        let block = chain.step(txs);
        ok(&block);
        assert_eq!(chain.supply(), supply);
        let changes = block.next_validators != sets[height as usize];
        assert!(!changes || height % 5 == 0, "the set changed in block {height}");
        blocks.push(Some(light(&block, &sets[height as usize], &wallets, 0)));
        sets.push(block.next_validators);
    }
    assert_eq!(sets[5].as_slice().len(), 1);
    assert_eq!(sets[6].as_slice().len(), 3);
    let power = |at: usize| sets[6].power(&wallets[at].address).unwrap();
    assert!(power(1) > 3 * power(2) && power(2) > power(0));
    assert_eq!(sets[16].power(&wallets[0].address), None, "the fourth wallet has more");

    let policy = LightPolicy::default();
    let (mut machine, mut step) = Bisection::new(start, 20, policy).unwrap();
    let mut fetched = 0;
    let end = loop {
        match step {
            Step::Done(state) => break state,
            Step::Fetch(height) => {
                let block = blocks[height as usize].clone().unwrap();
                step = machine.supply(block, chain.time_ms).unwrap();
                fetched += 1;
            }
        }
    };
    assert_eq!((end.height, end.block_hash), (20, chain.parent.hash));
    assert_eq!(end.validators, sets[21]);
    assert!(fetched < 12, "{fetched} of 20 headers");
}

#[test]
fn a_double_vote_is_slashed_once_and_free_of_charge_when_known() {
    let wallets = wallets();
    let mut chain = Chain::new(&description(&wallets));
    chain.step(vec![register(&wallets[1], 0)]);
    for _ in 2..=6 {
        chain.step(vec![]);
    }
    let supply = chain.supply();
    let vote = |height: u64, block_hash: B256| {
        let digest = vote_digest(VoteKind::Precommit, CHAIN_ID, height, 2, block_hash);
        let signature = RecoverableSignature::from(wallets[1].sign_hash(&digest));
        let signature = Bytes::from(signature.as_bytes().to_vec());
        Staking::Vote { kind: 3, blockHash: block_hash, signature }
    };
    let evidence = |height| Staking::reportEquivocationCall {
        height,
        round: 2,
        one: vote(height, B256::repeat_byte(1)),
        other: vote(height, B256::repeat_byte(2)),
    };
    let innocent = chain.step(vec![call(&wallets[3], 0, 0, &evidence(3))]);
    assert!(!innocent.receipts[0].status(), "it had no vote in epoch 0");
    let tx = call(&wallets[3], 1, 0, &evidence(6));
    assert_eq!(transition::check(&chain.state, &tx, 1), Ok(()));
    let logs = ok(&chain.step(vec![tx]));
    let slashed = Staking::Slashed::decode_log(&logs[0]).unwrap();
    assert_eq!(slashed.delegate, wallets[1].address);
    assert_eq!(slashed.reporter, wallets[3].address);
    // A twentieth of the bond and of its reward, of that a twentieth for the reporter.
    assert!(slashed.tokens >= U256::from(2 * BOND / 20));
    assert_eq!(slashed.reward, slashed.tokens / U256::from(20));
    assert_eq!(chain.supply(), supply);

    let again = call(&wallets[3], 2, 0, &evidence(7));
    assert_eq!(transition::check(&chain.state, &again, 1), Err(TxReject::AlreadyKnown));
    let proposal = chain.propose(vec![again.clone()]);
    assert_eq!(proposal.dropped, [(*again.tx_hash(), TxReject::AlreadyKnown)]);
    let info = Staking::delegateInfoCall { delegate: wallets[1].address }.abi_encode();
    let info = read(&chain, STAKING, info).output;
    let info = Staking::delegateInfoCall::abi_decode_returns(&info).unwrap();
    assert_eq!((info.jailedUntil, info.candidate), (6, false));
    while chain.parent.header.number < 10 {
        chain.step(vec![]);
    }
    let next = query::validators(&chain.state).unwrap();
    assert_eq!(next.power(&wallets[1].address), None);
}

#[test]
fn certificates_are_counted_through_the_contract() {
    let wallets = wallets();
    let mut chain = Chain::new(&description(&wallets));
    let set = query::validators(&chain.state).unwrap();
    let block = chain.step(vec![]);
    let shown = light(&block, &set, &wallets, 3);
    let record = Staking::recordCommitCall {
        height: 1,
        round: 3,
        blockHash: block.hash,
        signatures: shown
            .certificate
            .signatures
            .iter()
            .map(|signature| Bytes::from(signature.as_bytes().to_vec()))
            .collect(),
    };
    ok(&chain.step(vec![call(&wallets[2], 0, 0, &record)]));
    let again = call(&wallets[2], 1, 0, &record);
    assert_eq!(transition::check(&chain.state, &again, 1), Err(TxReject::AlreadyKnown));
    let counts = read(&chain, STAKING, Staking::attendanceCall {}.abi_encode()).output;
    let counts = Staking::attendanceCall::abi_decode_returns(&counts).unwrap();
    assert_eq!((counts.counted, counts.signed), (1, vec![1]));
    let epoch = read(&chain, STAKING, Staking::epochCall {}.abi_encode()).output;
    let epoch = Staking::epochCall::abi_decode_returns(&epoch).unwrap();
    assert_eq!((epoch.number, epoch.firstHeight, epoch.lastHeight), (0, 1, 5));
}

#[test]
fn stakes_leave_and_come_back_as_money() {
    let wallets = wallets();
    let mut chain = Chain::new(&description(&wallets));
    let (holder, delegate) = (&wallets[3], wallets[0].address);
    let stake = Staking::delegateCall { delegate };
    let logs = ok(&chain.step(vec![call(holder, 0, 7 * GRID, &stake)]));
    let shares = Staking::Delegated::decode_log(&logs[0]).unwrap().shares;
    let leave = Staking::undelegateCall { delegate, shares };
    let logs = ok(&chain.step(vec![call(holder, 1, 0, &leave)]));
    let left = Staking::Undelegated::decode_log(&logs[0]).unwrap();
    assert_eq!(left.freeFrom, 3);
    assert_eq!(left.tokens, U256::from(7 * GRID));
    let take = Staking::withdrawCall { delegate, epoch: 0 };
    let early = chain.step(vec![call(holder, 2, 0, &take)]);
    assert!(!early.receipts[0].status());
    while chain.parent.header.number < 15 {
        chain.step(vec![]);
    }
    let before = chain.account(STAKING).balance;
    let block = chain.step(vec![call(holder, 3, 0, &take)]);
    ok(&block);
    // The block's proposer is no delegate, so its tip of 1 Gwei a gas went to the reserve.
    let tip = U256::from(block.block.header.gas_used) * U256::from(1_000_000_000);
    assert_eq!(chain.account(STAKING).balance, before - left.tokens + tip);
    let paid = wallets[0].tx(0, STAKING, 5, 100_000, Bytes::new());
    let block = chain.step(vec![paid]);
    assert!(!block.receipts[0].status(), "nothing is taken without a call that says what for");
}

#[test]
fn a_genesis_without_staking_is_read_and_written_as_before() {
    let wallets = wallets();
    let plain = genesis(vec![], &[&wallets[0]]);
    let json = serde_json::to_value(&plain).unwrap();
    assert!(json.get("staking").is_none());
    assert_eq!(serde_json::from_value::<Genesis>(json).unwrap(), plain);
    let chain = Chain::new(&plain);
    let refused = read(&chain, STAKING, Staking::epochCall {}.abi_encode());
    assert!(refused.reverted.unwrap().contains("no staking"));
    let mut bad = description(&wallets);
    bad.validators = vec![Validator { account: PROPOSER, power: 1 }];
    let error = bad.validate().unwrap_err();
    assert_eq!(error.field, "staking");
    assert!(error.reason.contains("must be a delegate"), "{error}");
}
