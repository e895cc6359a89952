//! The kept client: it comes back after a restart, and a file that is damaged, edited or of something else
//! is named, moved aside, and not believed.

use std::{fs, path::Path, time::Instant};

use alloy_primitives::keccak256;
use grid_adapters::{
    AdapterError, Class, SourceChain as _,
    ethereum::beacon::{BeaconError, LightSource},
};

use super::{FINAL, Mainnet, mainnet, root, server::Beacon};

async fn source(world: &Mainnet, beacon: &Beacon, file: &Path) -> LightSource {
    let mut config = world.config();
    config.store = Some(file.to_owned());
    let now = world.now();
    LightSource::new(config, vec![beacon.endpoint(0)], vec![world.node().await])
        .unwrap()
        .with_clock(move || now)
}

#[tokio::test]
async fn a_restart_goes_on_without_a_bootstrap() {
    let Some(world) = mainnet() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("light/mainnet.store");
    let beacon = Beacon::honest(world.data.clone()).await;
    source(&world, &beacon, &file).await.tip().await.unwrap();
    // Nothing but finality is to be had from now on.
    {
        let mut data = beacon.data.lock().unwrap();
        data.bootstraps.clear();
        data.updates.clear();
    }
    let again = source(&world, &beacon, &file).await;
    let started = Instant::now();
    assert_eq!(again.tip().await.unwrap().height, FINAL);
    println!(
        "restart to tip in {:?}, file of {} bytes",
        started.elapsed(),
        fs::metadata(&file).unwrap().len()
    );
    assert!(again.view().warnings.is_empty(), "{:?}", again.view().warnings);
    // What it took before is handed on as well.
    let mut position = world.nowhere();
    position.started = true;
    position.period = 862;
    position.finalized_slot = 7_069_376;
    let missing = again.sync_data(&position).await.unwrap();
    assert_eq!(missing.len(), 7);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_and_moved_aside() {
    let Some(world) = mainnet() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let beacon = Beacon::honest(world.data.clone()).await;
    source(&world, &beacon, &file).await.tip().await.unwrap();
    let good = fs::read(&file).unwrap();
    let sealed = |mut content: Vec<u8>| {
        content.truncate(content.len() - 32);
        let checksum = keccak256(&content);
        content.extend(checksum);
        content
    };
    let edited = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases = [
        ("truncated", good[..good.len() / 2].to_vec(), "damaged"),
        ("empty", Vec::new(), "no store of a light client"),
        ("something else", b"{\"json\": true}".to_vec(), "no store of a light client"),
        ("a flipped bit", edited(good.len() / 3), "damaged"),
        ("of another version", sealed(edited(16)), "version"),
        ("of another network", sealed(edited(20)), "another network"),
        ("of another checkpoint", sealed(edited(60)), "not the trusted one"),
        // An editor who mends the checksum: the exported header, a proof's signature.
        ("an edited header", sealed(edited(17 + 64 + 8 + 1 + 40)), "verify"),
    ];
    for (name, bytes, words) in cases {
        fs::write(&file, &bytes).unwrap();
        let source = source(&world, &beacon, &file).await;
        assert_eq!(source.tip().await.expect(name).height, FINAL, "{name}");
        let warnings = source.view().warnings;
        assert!(warnings.iter().any(|text| text.contains(words)), "{name}: {warnings:?}");
        let aside = folder.path().join("store.refused");
        assert_eq!(fs::read(&aside).unwrap(), bytes, "{name}");
        assert_eq!(fs::read(&file).unwrap().len(), good.len(), "{name}: written anew");
    }
}

#[tokio::test]
async fn every_flipped_byte_is_noticed_or_harmless() {
    let Some(world) = mainnet() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let beacon = Beacon::honest(world.data.clone()).await;
    source(&world, &beacon, &file).await.tip().await.unwrap();
    let good = fs::read(&file).unwrap();
    let mut config = world.config();
    config.store = Some(file.clone());
    config.checkpoint = None;
    for step in 0..64 {
        let mut bytes = good.clone();
        let at = step * (good.len() - 1) / 63;
        bytes[at] ^= 0x40;
        fs::write(&file, &bytes).unwrap();
        let now = world.now();
        let source =
            LightSource::new(config.clone(), vec![beacon.endpoint(0)], vec![world.node().await])
                .unwrap()
                .with_clock(move || now);
        let error = source.tip().await.expect_err("a damaged file and no checkpoint");
        assert!(matches!(error, AdapterError::Beacon(BeaconError::Store { .. })), "{at}: {error}");
        assert_eq!(error.class(), Class::Halt { reason: "bad-store" });
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "nothing is lost");
    }
}

#[tokio::test]
async fn a_file_that_has_grown_old_gives_way_to_a_fresh_checkpoint_only() {
    let Some(world) = mainnet() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store");
    let beacon = Beacon::honest(world.data.clone()).await;
    source(&world, &beacon, &file).await.tip().await.unwrap();
    let kept = fs::read(&file).unwrap();
    for checkpoint in [None, Some(world.checkpoint), Some(root(9))] {
        let mut config = world.config();
        (config.store, config.checkpoint) = (Some(file.clone()), checkpoint);
        let late = world.now() + 30 * 86_400;
        let source = LightSource::new(config, vec![beacon.endpoint(0)], vec![world.node().await])
            .unwrap()
            .with_clock(move || late);
        let error = source.tip().await.unwrap_err();
        assert!(matches!(error, AdapterError::Beacon(_)), "{error:?}");
        assert_eq!(fs::read(&file).unwrap(), kept, "the file stays until something replaces it");
    }
}
