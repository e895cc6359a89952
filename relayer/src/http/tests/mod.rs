//! The servers over in-memory chains: every route's real answer against the document.

mod schema;

use core::{net::SocketAddr, time::Duration};
use std::{collections::BTreeSet, path::Path, sync::Arc};

use alloy_signer_local::PrivateKeySigner;
use grid_adapters::Secret;
use grid_core::{ChainId, Level, ethereum::attest::AttesterSet};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{Code, admin, openapi, read};
use crate::{
    ChainSource, Relayer, RelayerConfig, RelayerHandle,
    config::AdminConfig,
    sim::{Faults, SimMain, SimSource},
    store::Stage,
};

const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "a token of tests, long enough";

struct Bench {
    main: Arc<SimMain>,
    source: Arc<SimSource>,
    relayer: RelayerHandle,
    read: SocketAddr,
    admin: SocketAddr,
    folder: tempfile::TempDir,
    signer: PrivateKeySigner,
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn launch(
    folder: &Path,
    signer: &PrivateKeySigner,
    source: &Arc<SimSource>,
    main: &Arc<SimMain>,
) -> RelayerHandle {
    let mut config = RelayerConfig::new(folder.join("relayer.db"), signer.clone());
    config.attesters = vec![signer.clone()];
    config.http = Some(any_port());
    config.admin = Some(AdminConfig { listen: any_port(), token: Secret::new(TOKEN) });
    for lane in &mut config.lanes {
        lane.poll = Duration::from_millis(50);
    }
    config.submit.poll = Duration::from_millis(50);
    let sources = vec![ChainSource::Headers(source.clone())];
    Relayer::start(config, sources, main.clone(), CancellationToken::new()).await.unwrap()
}

impl Bench {
    async fn start() -> Self {
        let faults = Faults::new(5);
        let signer = PrivateKeySigner::random();
        let attesters = AttesterSet::new(1, vec![signer.address()]).unwrap();
        let main = Arc::new(SimMain::new(faults.clone(), attesters));
        let source = Arc::new(SimSource::new(ChainId::eip155(31_337), 20, faults));
        main.register(source.id(), source.at(0).unwrap(), Level::L2);
        let folder = tempfile::tempdir().unwrap();
        let relayer = launch(folder.path(), &signer, &source, &main).await;
        let (read, admin) = (relayer.http_addr().unwrap(), relayer.admin_addr().unwrap());
        Self { main, source, relayer, read, admin, folder, signer }
    }

    fn chain(&self) -> &ChainId {
        self.source.id()
    }

    async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + SOON;
        while !done().await {
            assert!(tokio::time::Instant::now() < deadline, "{what}: not in time");
            self.main.mine();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn sync(&self) {
        let (chain, store) = (self.chain(), self.relayer.store());
        self.until("in sync", async || {
            let same = self.main.tracked(chain) == Some(self.source.tip_now());
            same && store.unfinished(chain, 9).await.unwrap().is_empty()
        })
        .await;
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        ask(self.read, "GET", path, None, "").await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        ask(self.admin, "POST", path, Some(TOKEN), body).await
    }
}

/// Status and body; a body that is not JSON as a string.
async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let login = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: grid\r\nConnection: close\r\n{login}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}

/// Checks an answer against what the document says of its route.
fn check(method: &str, route: &str, (code, body): &(u16, Value)) {
    let document = openapi();
    let pointer = format!(
        "/paths/{}/{}/responses/{code}/content",
        route.replace('~', "~0").replace('/', "~1"),
        method.to_lowercase()
    );
    let content =
        document.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} is not described"));
    let (_, media) = content.as_object().unwrap().iter().next().unwrap();
    let faults = schema::faults(&document, &media["schema"], body);
    assert!(faults.is_empty(), "{method} {route}: {faults:#?}\n{body:#}");
}

#[tokio::test]
async fn every_real_answer_is_what_the_document_says() {
    let bench = Bench::start().await;
    bench.relayer.wait_ready(SOON).await.unwrap();
    bench.sync().await;
    let chain = bench.chain().clone();
    let done = bench.relayer.store().items(&chain, Stage::Done, 1).await.unwrap().remove(0);
    let (key, hash) = (done.key.clone(), done.tx_hash.unwrap());
    let sighting = crate::store::sighting(4);
    let message = sighting.message.id();
    bench.relayer.store().search_done(&chain, done.last, &[(sighting, None)], 7).await.unwrap();
    let cases = [
        ("/livez", "/livez".into()),
        ("/readyz", "/readyz".into()),
        ("/metrics", "/metrics".into()),
        ("/v1/status", "/v1/status".into()),
        ("/v1/chains", "/v1/chains".into()),
        ("/v1/items", "/v1/items".into()),
        ("/v1/items", format!("/v1/items?chain={chain}&stage=done&limit=3")),
        ("/v1/items/{key}", format!("/v1/items/{key}")),
        ("/v1/events", format!("/v1/events?key={key}&limit=2")),
        ("/v1/messages", "/v1/messages?limit=5".into()),
        ("/v1/messages/{id}", format!("/v1/messages/{message}")),
        ("/v1/headers", format!("/v1/headers?chain={chain}&limit=5")),
        ("/v1/explain/{id}", format!("/v1/explain/{key}")),
        ("/v1/explain/{id}", format!("/v1/explain/{chain}:7")),
        ("/v1/explain/{id}", format!("/v1/explain/{chain}:100000")),
        ("/v1/explain/{id}", format!("/v1/explain/{hash}")),
        ("/v1/explain/{id}", format!("/v1/explain/{}", done.last.hash)),
        ("/v1/openapi.json", "/v1/openapi.json".into()),
    ];
    let mut seen = BTreeSet::new();
    for (route, path) in cases {
        let answer = bench.get(&path).await;
        assert_eq!(answer.0, 200, "{path}: {}", answer.1);
        check("GET", route, &answer);
        seen.insert(route);
    }
    let routes = read::routes();
    let described: BTreeSet<_> = routes
        .iter()
        .filter(|(route, _)| route.method == "get")
        .map(|(route, _)| route.path)
        .collect();
    assert_eq!(seen, described, "every read-only route is asked");
    assert_eq!(bench.get("/v1/openapi.json").await.1, openapi());
    bench.relayer.stop().await.unwrap();
}

#[tokio::test]
async fn refusals_have_one_form_and_say_what_to_do() {
    let bench = Bench::start().await;
    let long = "x".repeat(3_000);
    let cases: [(&str, String, Code); 13] = [
        ("/v1/items", "/v1/items?chain=nonsense".into(), Code::BadRequest),
        ("/v1/items", "/v1/items?stage=lost".into(), Code::BadRequest),
        ("/v1/items", "/v1/items?limit=0".into(), Code::BadRequest),
        ("/v1/items", "/v1/items?limit=501".into(), Code::BadRequest),
        ("/v1/items", "/v1/items?after=eip155:1,planned,x,1".into(), Code::BadRequest),
        ("/v1/items", "/v1/items?chains=eip155:1".into(), Code::BadRequest),
        ("/v1/items/{key}", "/v1/items/nothing".into(), Code::NotFound),
        ("/v1/items/{key}", format!("/v1/items/{}", "k".repeat(257)), Code::BadRequest),
        ("/v1/events", "/v1/events".into(), Code::BadRequest),
        ("/v1/events", "/v1/events?key=nothing".into(), Code::NotFound),
        ("/v1/headers", "/v1/headers?chain=eip155:2&limit=101".into(), Code::BadRequest),
        ("/v1/explain/{id}", "/v1/explain/what".into(), Code::BadRequest),
        ("/v1/items", format!("/v1/items?after={long}"), Code::TooLarge),
    ];
    for (route, path, code) in cases {
        let answer = bench.get(&path).await;
        assert_eq!(answer.0, code.status(), "{path}: {}", answer.1);
        assert_eq!(answer.1["error"]["code"], json!(code), "{path}");
        check("GET", route, &answer);
    }
    let (status, body) = bench.get("/v1/nothing").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not-found")));
    let (status, body) = ask(bench.read, "POST", "/v1/status", None, "").await;
    assert_eq!((status, &body["error"]["code"]), (405, &json!("method-not-allowed")));
    // What changes something is not to be found here, token or not.
    let (status, _) = ask(bench.read, "POST", "/v1/admin/retry-parked", Some(TOKEN), "").await;
    assert_eq!(status, 404);
    bench.relayer.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_changed_without_the_token() {
    let bench = Bench::start().await;
    bench.relayer.wait_ready(SOON).await.unwrap();
    let path = format!("/v1/admin/chains/{}/pause", bench.chain());
    for token in [None, Some(""), Some("a guess"), Some(&TOKEN[1..])] {
        let answer = ask(bench.admin, "POST", &path, token, "").await;
        assert_eq!(answer.0, 401, "{token:?}");
        check("POST", "/v1/admin/chains/{id}/pause", &answer);
        // Not even whether a route exists is told.
        assert_eq!(ask(bench.admin, "GET", "/v1/nothing", token, "").await.0, 401);
    }
    // A relayer in a test has no file of settings.
    let answer = bench.post("/v1/admin/reload", "").await;
    assert_eq!((answer.0, &answer.1["error"]["code"]), (409, &json!("conflict")));
    check("POST", "/v1/admin/reload", &answer);
    assert!(bench.relayer.store().pauses().await.unwrap().is_empty());
    assert_eq!(ask(bench.admin, "GET", "/v1/nothing", Some(TOKEN), "").await.0, 404);
    let large = format!("{{\"by\":\"{}\"}}", "x".repeat(5_000));
    assert_eq!(bench.post(&path, &large).await.0, 413);
    assert_eq!(bench.post(&path, "{\"who\":\"x\"}").await.0, 400);
    assert_eq!(bench.post(&path, "{\"by\":\"a\\nb\"}").await.0, 400);
    bench.relayer.stop().await.unwrap();
}

#[tokio::test]
async fn a_paused_chain_stands_still_over_a_restart_until_it_is_resumed() {
    let mut bench = Bench::start().await;
    bench.relayer.wait_ready(SOON).await.unwrap();
    bench.sync().await;
    let chain = bench.chain().clone();
    let path = format!("/v1/admin/chains/{chain}");
    let pause = "/v1/admin/chains/{id}/pause";
    let body = "{\"by\":\"ann\",\"reason\":\"node upgrade\"}";
    let answer = bench.post(&format!("{path}/pause"), body).await;
    assert_eq!((answer.0, &answer.1["paused"]["by"]), (200, &json!("ann")), "{}", answer.1);
    check("POST", pause, &answer);
    let again = bench.post(&format!("{path}/pause"), "").await;
    assert_eq!(again.0, 409);
    check("POST", pause, &again);
    let before = bench.main.tracked(&chain);

    // A new process on the same database.
    let stopped = bench.relayer.stop().await;
    stopped.unwrap();
    bench.relayer = launch(bench.folder.path(), &bench.signer, &bench.source, &bench.main).await;
    (bench.read, bench.admin) =
        (bench.relayer.http_addr().unwrap(), bench.relayer.admin_addr().unwrap());
    bench.relayer.wait_ready(SOON).await.unwrap();
    bench.source.extend(5);
    let rounds = bench.source.asked();
    for _ in 0..10 {
        bench.main.mine();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(bench.main.tracked(&chain), before, "a paused chain was relayed");
    assert_eq!(bench.source.asked(), rounds, "a paused chain's source was asked");
    let status = bench.relayer.status().await.unwrap();
    let paused = status.chains[0].paused.as_ref().unwrap();
    assert_eq!((paused.by.as_str(), paused.reason.as_deref()), ("ann", Some("node upgrade")));
    assert_eq!(status.chains[0].state.as_str(), "paused");
    assert!(status.ready, "{:?}", status.problems);
    assert!(status.problems[0].text.contains("paused by ann"), "{:?}", status.problems);
    let (_, said) =
        bench.get(&format!("/v1/explain/{chain}:{}", bench.source.tip_now().height)).await;
    assert_eq!(said["place"], "paused", "{said:#}");
    assert!(said["summary"].as_str().unwrap().contains("grid relayer resume"), "{said:#}");

    let answer = bench.post(&format!("{path}/resume"), "").await;
    assert_eq!((answer.0, &answer.1["paused"]), (200, &Value::Null));
    check("POST", "/v1/admin/chains/{id}/resume", &answer);
    assert_eq!(bench.post(&format!("{path}/resume"), "").await.0, 409);
    assert_eq!(bench.post("/v1/admin/chains/eip155:5/pause", "").await.0, 404);
    bench.sync().await;
    bench.relayer.stop().await.unwrap();
}

#[tokio::test]
async fn parked_items_are_paged_explained_retried_and_dropped() {
    let bench = Bench::start().await;
    bench.relayer.wait_ready(SOON).await.unwrap();
    bench.sync().await;
    let (chain, store) = (bench.chain().clone(), bench.relayer.store().clone());
    // Paused, so that nothing moves on by itself.
    assert_eq!(bench.post(&format!("/v1/admin/chains/{chain}/pause"), "").await.0, 200);
    let tip = bench.source.tip_now();
    let mut keys = Vec::new();
    for n in 1..=5_u64 {
        let hash = alloy_primitives::B256::with_last_byte(u8::try_from(n).unwrap());
        let height = tip.height + n;
        let item = crate::store::NewItem {
            kind: crate::store::Kind::Headers,
            chain: chain.clone(),
            from: height,
            parent: tip.hash,
            last: grid_core::api::BlockRef { height, hash },
            payload: alloy_primitives::Bytes::from_static(&[1]),
        };
        store.plan(&item, crate::clock::now_ms(), Duration::from_secs(60)).await.unwrap();
        assert!(store.park(&item.key(), "the main chain refuses it", 1).await.unwrap());
        keys.push(item.key());
    }
    // Two pages and a rest, each item once.
    let (mut listed, mut after) = (Vec::new(), String::new());
    for _ in 0..3 {
        let path = format!("/v1/items?stage=parked&limit=2{after}");
        let answer = bench.get(&path).await;
        check("GET", "/v1/items", &answer);
        listed.extend(answer.1["items"].as_array().unwrap().iter().map(|item| item["key"].clone()));
        match answer.1["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(listed, keys.iter().map(|key| json!(key)).collect::<Vec<_>>());
    let (_, said) = bench.get(&format!("/v1/explain/{}", keys[0])).await;
    assert_eq!(
        (&said["place"], &said["needsOperator"]),
        (&json!("parked"), &json!(true)),
        "{said:#}"
    );
    assert!(said["summary"].as_str().unwrap().contains("the main chain refuses it"));

    let path = |n: usize, what: &str| format!("/v1/admin/items/{}/{what}", keys[n]);
    let answer = bench.post(&path(0, "retry"), "").await;
    assert_eq!((answer.0, &answer.1["item"]["stage"]), (200, &json!("planned")), "{}", answer.1);
    check("POST", "/v1/admin/items/{key}/retry", &answer);
    let answer = bench.post(&path(0, "retry"), "").await;
    assert_eq!(answer.0, 409, "{}", answer.1);
    check("POST", "/v1/admin/items/{key}/retry", &answer);
    let answer = bench.post(&path(1, "drop"), "").await;
    assert_eq!((answer.0, &answer.1["item"]["stage"]), (200, &json!("dropped")));
    check("POST", "/v1/admin/items/{key}/drop", &answer);
    assert_eq!(bench.post("/v1/admin/items/nothing/drop", "").await.0, 404);
    let answer = bench.post(&format!("/v1/admin/retry-parked?chain={chain}"), "").await;
    assert_eq!((answer.0, &answer.1["retried"]), (200, &json!(3)));
    check("POST", "/v1/admin/retry-parked", &answer);
    let events = store.history(&keys[2], 0, 9).await.unwrap();
    assert_eq!(events.last().unwrap().1.what, "retried");
    bench.relayer.stop().await.unwrap();
}

#[tokio::test]
async fn a_silent_client_holds_no_stop_up() {
    let bench = Bench::start().await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(bench.read).await.unwrap();
        stream.write_all(b"GET /v1/status HTTP/1.1\r\n").await.unwrap();
        silent.push(stream);
    }
    assert_eq!(bench.get("/livez").await.0, 200);
    let begun = std::time::Instant::now();
    bench.relayer.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_document_is_whole() {
    let document = openapi();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for name in schemas.keys() {
        let used = format!("\"#/components/schemas/{name}\"");
        assert!(text.contains(&used), "nothing uses the schema {name}");
    }
    let mut ids = BTreeSet::new();
    for (route, _) in read::routes().into_iter().chain(admin::routes()) {
        assert!(ids.insert(route.id), "{} is there twice", route.id);
        assert!(route.summary.ends_with('.'), "{}", route.path);
        assert_eq!(route.admin, route.path.starts_with("/v1/admin/"), "{}", route.path);
        for param in &route.params {
            assert!(schemas.contains_key(param.schema), "{}: {}", route.path, param.schema);
            let in_path = route.path.contains(&format!("{{{}}}", param.name));
            assert_eq!(in_path, param.place == super::route::Place::Path, "{}", route.path);
        }
    }
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| json!(code).to_string()).collect();
    let listed = schemas["Error"]["properties"]["code"]["enum"].as_array().unwrap();
    assert_eq!(codes, listed.iter().map(ToString::to_string).collect());
}

/// `GRID_WRITE_DOCS=1` writes the file instead.
#[test]
fn the_file_of_the_document_is_the_served_one() {
    let text = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("GRID_WRITE_DOCS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written == text, "docs/openapi.json is old: run this test with GRID_WRITE_DOCS=1");
}
