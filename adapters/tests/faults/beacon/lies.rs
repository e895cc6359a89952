//! Every fault of a beacon node: alone it is its own error and never a wrong block; beside an honest node
//! it costs nothing but its standing.

use axum::http::StatusCode;
use grid_adapters::{
    AdapterError, Class, SourceChain as _, SourceKind, ethereum::beacon::BeaconError,
};
use grid_core::ethereum::sync::{Fork, ForkActivation};
use serde_json::Value;

use super::{
    FINAL, mainnet,
    server::{Beacon, Data, few_participants, json_reply},
};
use crate::fake::{Reply, Request};

type Distort = fn(&Request, Reply) -> Reply;

fn is(request: &Request, part: &str) -> bool {
    request.path.contains(part)
}

/// An honest JSON answer with something changed.
fn edited(reply: Reply, edit: impl Fn(&mut Value)) -> Reply {
    let Reply::With(_, _, body) = &reply else { return reply };
    let Ok(mut value) = serde_json::from_slice(body) else { return reply };
    edit(&mut value);
    json_reply(&value)
}

fn swap(value: &mut Value, a: &str, b: &str) {
    let kept = value[a].take();
    value[a] = value[b].take();
    value[b] = kept;
}

fn status(code: u16) -> Reply {
    Reply::Send(StatusCode::from_u16(code).unwrap(), b"no".to_vec())
}

type Expected = fn(&Class) -> bool;
/// Name, fault, and the class of the error where no other node is there.
type Fault = (&'static str, Distort, Expected);
const RETRY: Expected = |class| matches!(class, Class::Retry { .. });
const HALT: Expected = |class| matches!(class, Class::Halt { .. });
const REJECT: Expected = |class| matches!(class, Class::Reject { .. });
const WAIT: Expected = |class| matches!(class, Class::Wait { .. });

/// Answers that are none.
fn transport() -> Vec<Fault> {
    vec![
        ("not found", |r, honest| if is(r, "bootstrap") { status(404) } else { honest }, REJECT),
        ("unavailable", |r, honest| if is(r, "bootstrap") { status(503) } else { honest }, RETRY),
        ("a redirect", |r, honest| if is(r, "bootstrap") { status(302) } else { honest }, HALT),
        (
            "partial content",
            |r, honest| if is(r, "bootstrap") { status(206) } else { honest },
            RETRY,
        ),
        (
            "a limited rate",
            |r, honest| match is(r, "bootstrap") {
                true => Reply::With(
                    StatusCode::TOO_MANY_REQUESTS,
                    vec![("retry-after", "7".into())],
                    Vec::new(),
                ),
                false => honest,
            },
            |class| *class == Class::Retry { after: core::time::Duration::from_secs(7) },
        ),
        (
            "a syncing node",
            |r, honest| match is(r, "node/syncing") {
                true => edited(honest, |value| {
                    value["data"]["is_syncing"] = true.into();
                    value["data"]["sync_distance"] = "5000".into();
                }),
                false => honest,
            },
            WAIT,
        ),
        (
            "another media type",
            |r, honest| match is(r, "bootstrap") {
                true => Reply::With(
                    StatusCode::OK,
                    vec![("content-type", "text/html".into())],
                    b"<html>".to_vec(),
                ),
                false => honest,
            },
            RETRY,
        ),
        (
            "an endless body",
            |r, honest| if is(r, "bootstrap") { Reply::Endless } else { honest },
            REJECT,
        ),
        (
            "a cut body",
            |r, honest| if is(r, "bootstrap") { Reply::Cut(b"{\"ver".to_vec()) } else { honest },
            RETRY,
        ),
        (
            "garbage behind the object",
            |r, honest| match honest {
                Reply::With(status, headers, mut body) if is(r, "bootstrap") => {
                    body.push(b'x');
                    Reply::With(status, headers, body)
                }
                honest => honest,
            },
            RETRY,
        ),
        (
            "an unknown version",
            |r, honest| match is(r, "bootstrap") {
                true => edited(honest, |value| value["version"] = "phase9".into()),
                false => honest,
            },
            RETRY,
        ),
    ]
}

/// Nodes of something else.
fn elsewhere() -> Vec<Fault> {
    vec![
        (
            "another network",
            |r, honest| match is(r, "genesis") {
                true => edited(honest, |value| {
                    value["data"]["genesis_validators_root"] =
                        "0xd8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078".into();
                }),
                false => honest,
            },
            HALT,
        ),
        (
            "another preset",
            |r, honest| match is(r, "spec") {
                true => edited(honest, |value| value["data"]["SLOTS_PER_EPOCH"] = "8".into()),
                false => honest,
            },
            HALT,
        ),
        (
            "another fork version",
            |r, honest| match is(r, "spec") {
                true => edited(honest, |value| {
                    value["data"]["CAPELLA_FORK_VERSION"] = "0x03000001".into();
                }),
                false => honest,
            },
            HALT,
        ),
        (
            "a fork that is active and unknown here",
            |r, honest| match is(r, "spec") {
                true => edited(honest, |value| value["data"]["HEZE_FORK_EPOCH"] = "9".into()),
                false => honest,
            },
            HALT,
        ),
        (
            "the committee of another block",
            |r, honest| match is(r, "bootstrap") {
                true => edited(honest, |value| {
                    value["data"]["header"]["beacon"]["proposer_index"] = "1".into();
                }),
                false => honest,
            },
            HALT,
        ),
    ]
}

async fn distorted(data: &Data, ssz: bool, distort: Distort) -> Beacon {
    Beacon::start(Data { ssz, ..data.clone() }, distort).await
}

#[tokio::test]
async fn each_fault_is_its_own_error_and_an_honest_node_beside_it_is_enough() {
    let Some(world) = mainnet() else { return };
    let honest = Beacon::honest(world.data.clone()).await;
    for (name, distort, class) in transport().into_iter().chain(elsewhere()) {
        let faulty = distorted(&world.data, false, distort).await;
        let alone = world.source(vec![faulty.endpoint(0)]).await;
        let error = alone.tip().await.expect_err(name);
        assert!(class(&error.class()), "{name}: {:?} of {error}", error.class());
        assert!(!error.to_string().is_empty() && alone.status().is_none(), "{name}");
        assert!(
            alone.view().members[0].failures > 0 || class(&Class::Reject { reason: "" }),
            "{name}"
        );

        let both = world.source(vec![faulty.endpoint(0), honest.endpoint(1)]).await;
        let tip = both.tip().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tip.height, FINAL, "{name}");
    }
}

/// Faults in what is signed: they do not prevent the start, and never move the client.
fn lies() -> Vec<(&'static str, Distort)> {
    vec![
        ("no updates", |r, honest| if is(r, "updates") { status(404) } else { honest }),
        ("an empty page", |r, honest| match is(r, "updates") {
            true => json_reply(&Value::Array(Vec::new())),
            false => honest,
        }),
        ("another period first", |r, honest| match is(r, "updates") {
            true => edited(honest, |value| {
                value.as_array_mut().unwrap().remove(0);
            }),
            false => honest,
        }),
        ("swapped branches", |r, honest| match is(r, "updates") {
            true => edited(honest, |value| {
                let data = &mut value[0]["data"];
                swap(data, "finality_branch", "next_sync_committee_branch");
            }),
            false => honest,
        }),
        ("the branch of another header", |r, honest| match is(r, "updates") {
            true => edited(honest, |value| {
                let other = value[1]["data"]["finality_branch"].clone();
                value[0]["data"]["finality_branch"] = other;
            }),
            false => honest,
        }),
        ("a branch of the wrong depth", |r, honest| match is(r, "updates") {
            true => edited(honest, |value| {
                value[0]["data"]["finality_branch"].as_array_mut().unwrap().pop();
            }),
            false => honest,
        }),
        ("a committee of its own", |r, honest| match is(r, "updates") {
            true => edited(honest, |value| {
                let data = &mut value[0]["data"]["next_sync_committee"]["pubkeys"];
                data[0] = data[1].clone();
            }),
            false => honest,
        }),
        ("bits that did not sign", |r, honest| match is(r, "updates") {
            true => edited(honest, |value| few_participants(&mut value[0])),
            false => honest,
        }),
    ]
}

#[tokio::test]
async fn a_lie_never_moves_the_client_and_never_stops_it_beside_an_honest_node() {
    let Some(world) = mainnet() else { return };
    let honest = Beacon::honest(world.data.clone()).await;
    for (name, distort) in lies() {
        let faulty = distorted(&world.data, false, distort).await;
        let alone = world.source(vec![faulty.endpoint(0)]).await;
        // The bootstrap's block is final, but its header is not at this execution node.
        let error = alone.tip().await.expect_err(name);
        assert!(
            matches!(error, AdapterError::Beacon(BeaconError::Absent { .. })),
            "{name}: {error}"
        );
        let status = alone.status().unwrap();
        assert_eq!(status.finalized_slot, 7_069_376, "{name}");
        assert!(!alone.view().warnings.is_empty(), "{name}");

        let both = world.source(vec![faulty.endpoint(0), honest.endpoint(1)]).await;
        let tip = both.tip().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tip.height, FINAL, "{name}");
    }
}

#[tokio::test]
async fn a_liar_is_counted_and_paused() {
    let Some(world) = mainnet() else { return };
    let liar = distorted(&world.data, false, |r, honest| match is(r, "updates") {
        true => edited(honest, |value| few_participants(&mut value[0])),
        false => honest,
    })
    .await;
    let honest = Beacon::honest(world.data.clone()).await;
    let source = world.source(vec![liar.endpoint(0), honest.endpoint(1)]).await;
    source.tip().await.unwrap();
    let view = source.view();
    let of = |kind| view.members.iter().filter(move |member| member.kind == kind);
    let refused: Vec<u64> = of(SourceKind::Beacon).map(|member| member.refused).collect();
    assert_eq!(refused, [1, 0], "{view:?}");
}

#[tokio::test]
async fn the_newest_finality_of_any_node_wins() {
    let Some(world) = mainnet() else { return };
    let mut old = world.data.clone();
    // The finality of two periods ago, as a node has it that got stuck.
    let update = &old.updates[&866].json["data"];
    let stuck: Value = [
        "attested_header",
        "finalized_header",
        "finality_branch",
        "sync_aggregate",
        "signature_slot",
    ]
    .into_iter()
    .map(|field| (field.to_owned(), update[field].clone()))
    .collect::<serde_json::Map<_, _>>()
    .into();
    let envelope = serde_json::json!({"version": "capella", "data": stuck});
    old.finality.as_mut().unwrap().json = envelope;
    old.updates.remove(&867);
    old.ssz = false;
    let stuck = Beacon::honest(old).await;
    let honest = Beacon::honest(world.data.clone()).await;
    let source = world.source(vec![stuck.endpoint(0), honest.endpoint(1)]).await;
    assert_eq!(source.tip().await.unwrap().height, FINAL);
    let behind = source.view().members[0].last_error.clone().unwrap();
    assert!(matches!(behind, AdapterError::Beacon(BeaconError::Behind { .. })), "{behind:?}");
    assert_eq!(behind.class(), Class::Wait { until: "finality" });
}

#[tokio::test]
async fn ssz_that_cannot_be_used_is_asked_for_in_json() {
    let Some(world) = mainnet() else { return };
    let cases: [(&str, Distort); 4] = [
        ("not acceptable", |_, honest| match honest {
            Reply::With(_, headers, _) if headers[0].1.contains("octet") => status(406),
            honest => honest,
        }),
        ("unsupported", |_, honest| match honest {
            Reply::With(_, headers, _) if headers[0].1.contains("octet") => status(415),
            honest => honest,
        }),
        ("without a version", |_, honest| match honest {
            Reply::With(status, mut headers, body) => {
                headers.truncate(1);
                Reply::With(status, headers, body)
            }
            honest => honest,
        }),
        ("of a strange type", |_, honest| match honest {
            Reply::With(status, mut headers, body) if headers[0].1.contains("octet") => {
                headers[0].1 = "application/ssz".into();
                Reply::With(status, headers, body)
            }
            honest => honest,
        }),
    ];
    for (name, distort) in cases {
        let node = distorted(&world.data, true, distort).await;
        let source = world.source(vec![node.endpoint(0)]).await;
        assert_eq!(source.tip().await.expect(name).height, FINAL, "{name}");
    }
}

#[tokio::test]
async fn a_list_in_ssz_that_is_cut_or_too_long_is_refused() {
    let Some(world) = mainnet() else { return };
    let cases: [(&str, Distort); 3] = [
        ("cut", |r, honest| match honest {
            Reply::With(status, headers, mut body) if is(r, "updates") => {
                body.pop();
                Reply::With(status, headers, body)
            }
            honest => honest,
        }),
        ("a length beyond the end", |r, honest| match honest {
            Reply::With(status, headers, mut body) if is(r, "updates") => {
                body[..8].fill(0xff);
                Reply::With(status, headers, body)
            }
            honest => honest,
        }),
        ("more than asked for", |r, honest| match honest {
            Reply::With(status, headers, body) if is(r, "updates") => {
                Reply::With(status, headers, body.repeat(2))
            }
            honest => honest,
        }),
    ];
    let honest = Beacon::honest(world.data.clone()).await;
    for (name, distort) in cases {
        let node = distorted(&world.data, true, distort).await;
        let source = world.source(vec![node.endpoint(0)]).await;
        source.tip().await.expect_err(name);
        let last = source.view().members[0].failures;
        assert!(last > 0 || !source.view().warnings.is_empty(), "{name}");
        let both = world.source(vec![node.endpoint(0), honest.endpoint(1)]).await;
        assert_eq!(both.tip().await.expect(name).height, FINAL, "{name}");
    }
}

#[tokio::test]
async fn forks_to_come_that_are_unknown_are_a_warning() {
    let Some(mut world) = mainnet() else { return };
    let node = distorted(&world.data, true, |r, honest| match is(r, "spec") {
        true => edited(honest, |value| value["data"]["GLOAS_FORK_EPOCH"] = "999999".into()),
        false => honest,
    })
    .await;
    let source = world.source(vec![node.endpoint(0)]).await;
    source.tip().await.unwrap();
    let warnings = source.view().warnings;
    assert!(
        warnings.iter().any(|text| text.contains("GLOAS_FORK_EPOCH is 999999")),
        "{warnings:?}"
    );
    // And the other way round: a fork that only we know.
    let version = [7, 0, 0, 0].into();
    let gloas = ForkActivation { fork: Fork::Gloas, version, epoch: 999_999 };
    world.data.network.forks.push(gloas);
    let source = world.source(vec![node.endpoint(0)]).await;
    source.tip().await.unwrap();
    assert!(source.view().warnings.iter().all(|text| !text.contains("unknown")));
}
