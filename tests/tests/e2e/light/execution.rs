//! Execution endpoints that lie, in both modes: a field edited under an honest hash, nothing known,
//! no answer. An honest endpoint beside them is enough.

use grid_test_nodes::{Anvil, AnvilConfig, Grid, Liar, Lie};
use serde_json::json;

use super::{Light, PERIOD};
use crate::world::{ETHEREUM_DEPTH, Home, assert_index, chain, wait_confirmed};

const LIES: [Lie; 5] = [Lie::Edited, Lie::Missing, Lie::Hang, Lie::Truncated, Lie::Page];

/// Puts a lying endpoint before the honest one in a home folder's configuration.
fn put_before(home: &Home, honest: &str, liar: &str) {
    home.change_config(|text| {
        let quoted = format!("\"{honest}\"");
        assert!(text.contains(&quoted), "{text}");
        text.replacen(&quoted, &format!("\"{liar}\", {quoted}"), 1)
    });
}

#[tokio::test]
async fn under_a_light_client_only_headers_that_hash_to_what_is_final_count() {
    let mut light = Light::start().await;
    let liar = Liar::start(&light.anvil.url()).await.expect("proxy");
    light.grid.stop().await.expect("stop");
    put_before(&light.home, &light.anvil.url(), liar.url());
    light.grid.restart().await.expect("restart");
    for lie in LIES {
        liar.lie(lie.clone());
        light.transfer().await;
        light.sim.advance(PERIOD).await.expect("slots");
        let height = light.finalize().await;
        println!("{lie:?}: indexed up to {height}");
    }
    light.assert_index_is_anvils().await;
}

#[tokio::test]
async fn an_attested_chain_never_gets_an_edited_header() {
    let anvil = Anvil::start(AnvilConfig::default()).await.expect("anvil");
    anvil.mine(5).await.expect("mine");
    let home = Home::new();
    home.init(&[String::from("--ethereum"), anvil.url()]).await.expect("init");
    let liar = Liar::start(&anvil.url()).await.expect("proxy");
    put_before(&home, &anvil.url(), liar.url());
    let grid = Grid::start(home.config()).await.expect("start");
    for lie in LIES {
        liar.lie(lie.clone());
        anvil.mine(4).await.expect("mine");
        let height = anvil.block_number().await.expect("number");
        wait_confirmed(&grid, "eip155:", height + 1 - ETHEREUM_DEPTH).await;
        println!("{lie:?}: indexed up to {height}");
    }
    let hash = async |height| anvil.block_hash(height).await.expect("hash");
    assert_index(&grid, "eip155:", hash).await;
    let chain = chain(&grid, "eip155:").await.expect("chain");
    assert_eq!(chain["security"], json!("attested"));
}
