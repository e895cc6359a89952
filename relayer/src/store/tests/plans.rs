//! No statement looks at more rows than it needs, however many there are.

use super::*;

/// Tables whose rows grow with the work.
const LARGE: [&str; 6] = ["items", "events", "nonces", "transactions", "attestations", "messages"];

/// Walks of an index that are as long as they have to be: the numbers of open items and messages, the newest
/// finished rows that are kept, the open nonces.
const WALKS: [&str; 8] = [
    "items_open",
    "items_finished",
    "nonces_live",
    "nonces_closed",
    "transactions_settled",
    "messages_open",
    "messages_by_age",
    "messages_recent",
];

/// Everything that is done with messages.
async fn everything_of_messages(store: &Store, height: u64) {
    let (sighting, at) =
        (sighting(height), BlockRef { height, hash: alloy_primitives::B256::ZERO });
    store.search_done(&chain(), at, &[(sighting.clone(), None)], height).await.unwrap();
    store.searched(&chain(), 10).await.unwrap();
    store.open_messages(&chain(), height, height, 10).await.unwrap();
    store.recent_messages(10).await.unwrap();
    store.message_counts().await.unwrap();
    store.wake_ordered(&chain(), &sighting.message.sender, height).await.unwrap();
    let row = store.message(&sighting.message.id()).await.unwrap().remove(0);
    let (stage, reason) = (MessageStage::Delivered, None);
    let end = MessageStep { stage, reason, attempt: 0, next_at: 0 };
    store.step_message(&row.key, &end, height).await.unwrap();
}

/// Everything that a relayer does at its start and in its rounds.
async fn everything(store: &Store, height: u64) {
    let me = RelayerRow { owner: "a".into(), signer: Address::repeat_byte(1), started_at: 0 };
    store.beat(&me, height, LEASE).await.unwrap();
    store.relayers(height).await.unwrap();
    store.holdings(height).await.unwrap();
    store.orphans(&me.signer, height).await.unwrap();
    store.counts().await.unwrap();
    let runs = (0..10).map(|n| NewItem { kind: Kind::Run, ..item(height + n, height + n) });
    store.plan_all(&runs.collect::<Vec<_>>(), height, STALE).await.unwrap();
    store.plan(&item(height, height), height, Duration::ZERO).await.unwrap();
    store.unfinished(&chain(), 256).await.unwrap();
    store.items(&chain(), Stage::Planned, 1).await.unwrap();
    let mut claims = claim(store, "a", 200, height).await;
    store.release(&claims.pop().unwrap(), true, 0, "no", height).await.unwrap();
    store.known(&claims.pop().unwrap(), "known", height).await.unwrap();
    let parked = claims.pop().unwrap();
    store.park(&parked.key, "no", height).await.unwrap();
    store.retry(&parked.key, height).await.unwrap();
    let pause = Pause { since: height, by: "ann".into(), reason: None };
    store.pause(&chain(), &pause).await.unwrap();
    store.pauses().await.unwrap();
    store.resume(&chain()).await.unwrap();
    store.disagreements().await.unwrap();
    store.set_disagreement(&chain(), None, height).await.unwrap();
    store.page(&chain(), Stage::Planned, super::super::Place::default(), 9).await.unwrap();
    store.covering(&chain(), height).await.unwrap();
    store.ending_with(&item(height, height).last.hash).await.unwrap();
    let planned = store.item(&parked.key).await.unwrap().unwrap();
    store.before(&planned).await.unwrap();
    store.lease(&parked.key, height).await.unwrap();
    store.carried(&parked.key, 9).await.unwrap();
    store.transaction(&item(height, height).last.hash).await.unwrap();
    store.history(&parked.key, 0, 9).await.unwrap();
    store.retry_parked(&chain(), height).await.unwrap();
    store.drop_item(&parked.key, "no", height).await.unwrap();
    for claim in &claims {
        let nonce = store.free_nonce(&me.signer, 0).await.unwrap();
        let new = transaction(nonce, 0);
        store.record_transaction(Some(claim), &new, height).await.unwrap();
        store.raw_transaction(&new.hash).await.unwrap();
        store.payload(&claim.key).await.unwrap();
        store.sent(&[new.hash], height).await.unwrap();
    }
    everything_of_messages(store, height).await;
    let live = store.live(&me.signer).await.unwrap();
    store
        .replace_transaction(live[0].item.as_deref(), &transaction(live[0].nonce, 9), height)
        .await
        .unwrap();
    let retry = Retry { reason: "no", next_at: 0, counts: true, park: false };
    let hash = transaction(0, 0).hash;
    store.settle_failed(&me.signer, &live[1], Some(&hash), retry, height).await.unwrap();
    store.settle_known(&me.signer, &live[2], "known", height).await.unwrap();
    for live in live.iter().skip(3).chain(live.first()) {
        let hash = live.transactions[0].hash;
        store.settle_included(&me.signer, live, &hash, 1, height).await.unwrap();
    }
    store.finish(&chain(), height + 1, height).await.unwrap();
    store.finish_item(&item(height, height).key(), height).await.unwrap();
    let header = BlockRef { height, hash };
    store.journal(&me.signer, &chain(), header, true, 1).await.unwrap();
    store.has_attested(&me.signer, &chain(), header).await.unwrap();
    store.set_chain(&chain(), &ChainRow::default(), height).await.unwrap();
    store.chain(&chain()).await.unwrap();
    store.item(&parked.key).await.unwrap();
    store.events(&parked.key).await.unwrap();
    let mark = store.mark(0).await.unwrap();
    store.left_stages(mark, height).await.unwrap();
    store.prune(height, Duration::ZERO, 5_000, 10).await.unwrap();
    store.leave_chain("a", &chain(), height).await.unwrap();
    store.let_go("a").await.unwrap();
}

fn statements() -> Vec<String> {
    let made = db::MADE.lock().unwrap();
    made.iter().filter(|text| !text.contains("_sqlx_migrations")).cloned().collect()
}

#[tokio::test]
async fn no_statement_walks_through_a_table_of_a_file() {
    let place = Place::file();
    let store = place.open().await;
    for height in 1..12 {
        everything(&store, height * 100).await;
    }
    let statements = statements();
    assert!(statements.len() > 40, "only {} statements", statements.len());
    let mut large = 0;
    for statement in statements {
        let explain = format!("EXPLAIN QUERY PLAN {statement}").leak();
        let rows = store.read(db::sql("explaining", explain)).await.unwrap();
        for row in rows {
            let step = row.text(3).unwrap();
            let walk = step.strip_prefix("SCAN ").map(|rest| rest.split(' ').next().unwrap());
            // `n` is what statements call nonces.
            let walks = walk.is_some_and(|name| LARGE.contains(&name) || name == "n");
            large +=
                usize::from(LARGE.iter().any(|name| step.starts_with(&format!("SEARCH {name} "))));
            let known = WALKS.iter().any(|index| step.contains(&format!("INDEX {index}")));
            assert!(!walks || known, "{step}: {statement}");
        }
    }
    assert!(large > 30, "the plans show only {large} searches");
}

#[tokio::test]
async fn no_statement_walks_through_a_table_of_a_server() {
    const ROWS: u64 = 20_000;
    let place = Place::server().await;
    let (server, name) = (place.server.clone().unwrap(), place.location.to_string());
    let name = name.rsplit('/').next().unwrap();
    let store = place.open().await;
    // The one that `everything` signs with.
    let (signer, hash) = ("01".repeat(20), "02".repeat(32));
    let fill = format!(
        "INSERT INTO items (chain, kind, key, stage, from_height, to_height, parent_hash, last_hash, \
         payload, created_at, updated_at) SELECT 'eip155:' || n % 10, 'headers', 'k' || n, 'planned', n, n, \
         '', '', convert_to(repeat('x', 700), 'UTF8'), n, n FROM generate_series(1, {ROWS}) AS n; \
         INSERT INTO events (at, item_key, what, detail) SELECT n, 'k' || n, 'planned', '' \
         FROM generate_series(1, {ROWS}) AS n; \
         INSERT INTO nonces (signer, nonce, state, created_at) SELECT '\\x{signer}', 1000 + n, 'closed', n \
         FROM generate_series(1, {ROWS}) AS n; \
         INSERT INTO transactions (hash, signer, nonce, raw, max_fee, priority_fee, outcome, created_at) \
         SELECT int8send(n), '\\x{signer}', 1000 + n, '', '0', '0', 'included', n \
         FROM generate_series(1, {ROWS}) AS n; \
         INSERT INTO attestations (signer, chain, height, hash, final_head, signed_at) \
         SELECT '\\x{signer}', 'x', n, '', 0, n FROM generate_series(1, {ROWS}) AS n; \
         INSERT INTO messages (key, message, chain, height, block, tx, position, sender, recipient, nonce, \
         ordered, deadline, bytes, stage, seen_at, updated_at) SELECT 'k' || n, \
         decode(lpad(to_hex(n), 64, '0'), 'hex'), 'eip155:' || n % 10, n, '\\x{hash}', '\\x{hash}', 0, \
         '\\x{hash}', '\\x{hash}', n, 0, 0, 0, 'delivered', n, n \
         FROM generate_series(1, {ROWS}) AS n;"
    );
    server.sql(name, &fill).unwrap();
    server.sql(name, "VACUUM ANALYZE").unwrap();
    let walked = || {
        let text = "SELECT relname, seq_tup_read FROM pg_stat_user_tables ORDER BY relname";
        let rows = server.sql(name, text).unwrap();
        let large = rows.lines().map(|line| line.split_once('|').unwrap());
        let large: Vec<(String, u64)> = large
            .filter(|(table, _)| LARGE.contains(table))
            .map(|(table, rows)| (table.to_owned(), rows.parse().unwrap()))
            .collect();
        large
    };
    let fetched = || {
        let text = "SELECT SUM(idx_tup_fetch) FROM pg_stat_user_tables";
        server.sql(name, text).unwrap().trim().parse::<u64>().unwrap()
    };
    let (before, fetched_before) = (walked(), fetched());
    assert_eq!(before.len(), LARGE.len());
    everything(&store, 1_000_000).await;
    // A connection's numbers are told when it ends.
    store.close().await;
    assert_eq!(walked(), before, "rows that were read one by one");
    let fetched = fetched() - fetched_before;
    assert!(fetched < ROWS, "{fetched} rows were read by indices");
    // The control: a walk through a table shows in these numbers.
    server.sql(name, "SELECT COUNT(*) FROM items WHERE reason = 'no'").unwrap();
    assert_ne!(walked(), before);
}
