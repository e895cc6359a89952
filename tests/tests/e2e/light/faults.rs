//! Beacon nodes with faults: beside an honest one each costs nothing, alone they stop their chain only.

use grid_test_nodes::{BeaconSim, beacon::Fault, wait_for};
use serde_json::json;

use super::{Light, PERIOD};
use crate::world::{LIMIT, wait_confirmed};

/// Everything that a server can do wrong.
const FAULTS: [Fault; 21] = [
    Fault::Participation(0),
    Fault::Participation(21),
    Fault::WithheldCommittee,
    Fault::SwappedCommittee,
    Fault::StaleFinality(30),
    Fault::ForkVersion,
    Fault::OtherGenesis,
    Fault::SwappedBranches,
    Fault::DeepBranches,
    Fault::ShallowBranches,
    Fault::EditedExecution,
    Fault::Signature,
    Fault::ShortPage(1),
    Fault::ShiftedPage,
    Fault::Status(404),
    Fault::Status(429),
    Fault::Status(503),
    Fault::Endless,
    Fault::Page,
    Fault::Truncated,
    Fault::ContentType,
];

#[tokio::test]
async fn beside_an_honest_node_no_fault_stops_anything() {
    let mut mirror = None;
    let light = Light::start_with(async |sim: &BeaconSim| {
        let other = sim.mirror().await.expect("mirror");
        let url = other.url().to_owned();
        mirror = Some(other);
        vec![String::from("--ethereum-beacon"), url]
    })
    .await;
    let faulty = mirror.expect("made");
    light.finalize().await;
    for fault in FAULTS {
        faulty.honest();
        faulty.fault(fault);
        // A period further each time, so that pages of updates are asked for too.
        light.transfer().await;
        light.sim.advance(PERIOD).await.expect("slots");
        let height = light.finalize().await;
        println!("{fault:?}: indexed up to {height}");
    }
    light.assert_index_is_anvils().await;
    assert_eq!(light.chain().await["status"], json!("active"));
    assert!(faulty.asked("light_client") > 0, "the faulty node was asked");
}

#[tokio::test]
async fn alone_a_faulty_node_stops_its_chain_and_nothing_else() {
    let light = Light::start().await;
    light.finalize().await;
    for fault in [Fault::Signature, Fault::Status(503), Fault::EditedExecution, Fault::Page] {
        let before = light.chain().await["tracked"].clone();
        light.sim.fault_on("light_client", fault);
        light.transfer().await;
        let asked = light.sim.asked("light_client");
        let height = light.sim.finalize().await.expect("final");
        wait_for("another question", LIMIT, || async {
            let now = light.sim.asked("light_client");
            if now > asked { Ok(()) } else { Err(format!("{now} questions")) }
        })
        .await
        .expect("the daemon asks again");
        light.wait_blocks(3).await;
        let now = light.chain().await;
        assert_eq!((&now["tracked"], &now["status"]), (&before, &json!("active")), "{fault:?}");
        light.sim.honest();
        wait_confirmed(&light.grid, "eip155:", height).await;
    }
    light.assert_index_is_anvils().await;
}

#[tokio::test]
async fn finality_that_stalls_is_waited_for() {
    let light = Light::start().await;
    let before = light.finalize().await;
    light.sim.chain().stall_finality(true);
    light.transfer().await;
    // Less than a period: the committee after the next one is not needed yet.
    light.sim.advance(PERIOD / 2).await.expect("slots");
    light.wait_blocks(4).await;
    assert_eq!(light.chain().await["tracked"]["height"], json!(before));
    light.sim.chain().stall_finality(false);
    light.finalize().await;
    light.assert_index_is_anvils().await;
}
