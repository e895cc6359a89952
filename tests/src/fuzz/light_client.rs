//! Light-client data of the beacon chain, and what is stored of it.

use std::sync::LazyLock;

use grid_core::ethereum::sync::{
    Conflict, Fork, ForkActivation, Format, KeyCache, NetworkConfig, Policy, Preset, Store,
    SyncClient, SyncData,
    file::{self, Object},
    ssz, store,
};

/// Small committees, and all forks from the start: every format is read.
pub(super) static NETWORK: LazyLock<NetworkConfig> = LazyLock::new(|| {
    let mut network = NetworkConfig { preset: Preset::MINIMAL, ..NetworkConfig::mainnet() };
    let gloas = ForkActivation { fork: Fork::Gloas, ..network.forks[0] };
    network.forks.push(gloas);
    network.forks.iter_mut().for_each(|activation| activation.epoch = 0);
    network.validate().expect("a sound network");
    network
});

/// What is read survives the way to the main chain, and its proofs can be judged.
fn judge(object: Object) {
    if let Some(update) = object.to_update() {
        let _ = store::verify_proofs(&NETWORK, &update);
    }
    let sent = match object {
        Object::Bootstrap(bootstrap) => {
            let root = bootstrap.header.beacon.root();
            let _ = Store::new(&NETWORK, &root, (*bootstrap).clone());
            SyncData::Bootstrap(bootstrap)
        }
        Object::Update(update) => SyncData::Update(update),
        Object::FinalityUpdate(update) => SyncData::FinalityUpdate(update),
        Object::OptimisticUpdate(_) => return,
    };
    assert_eq!(SyncData::decode(&NETWORK, &sent.encode()), Ok(sent));
}

/// Reads bytes as any object in SSZ of any format. Gloas's has one spelling.
pub fn light_client_ssz(data: &[u8]) {
    if let Some(object) = file::any_ssz(&NETWORK, data) {
        judge(object);
    }
    if let Ok(update) = ssz::update(&NETWORK, Format::Gloas, data) {
        assert_eq!(&SyncData::from(update).encode()[1..], data, "another spelling was taken");
    }
    if let Ok(update) = ssz::finality_update(&NETWORK, Format::Gloas, data) {
        assert_eq!(&SyncData::from(update).encode()[1..], data, "another spelling was taken");
    }
    if let Ok(bootstrap) = ssz::bootstrap(&NETWORK, Format::Gloas, data) {
        assert_eq!(&SyncData::from(bootstrap).encode()[1..], data, "another spelling was taken");
    }
}

/// Reads bytes as a file of light-client data in any wrapping.
pub fn light_client_json(data: &[u8]) {
    for object in file::read(&NETWORK, data).unwrap_or_default() {
        judge(object);
    }
}

/// Reads bytes as data on its way to the main chain.
pub fn sync_data(data: &[u8]) {
    if let Ok(object) = SyncData::decode(&NETWORK, data) {
        assert_eq!(object.encode(), data, "another spelling was taken");
    }
}

/// Reads bytes as a store, and as a whole client. A client that was read can be checked and asked.
pub fn light_client_store(data: &[u8]) {
    if let Ok(store) = Store::decode(&NETWORK, data) {
        assert_eq!(store.encode(&NETWORK), data, "another spelling was taken");
    }
    let policy = Policy { max_checkpoint_age: 0, check_clock: false, ..Policy::default() };
    if let Ok(mut client) = SyncClient::decode(NETWORK.clone(), policy, data) {
        assert_eq!(client.encode(), data, "another spelling was taken");
        let _ = client.verify_stored();
        assert_eq!(client.finalized().is_err(), client.conflict().is_some());
    }
}

/// Reads bytes as evidence of a conflict, and verifies it. Mutated evidence proves nothing.
pub fn light_client_conflict(data: &[u8]) {
    if let Ok(conflict) = Conflict::decode(&NETWORK, data) {
        assert_eq!(conflict.encode(&NETWORK), data, "another spelling was taken");
        let refused = conflict.verify(&NETWORK, &mut KeyCache::new(), |_| false).is_err();
        assert!(refused, "evidence was taken whose committees nobody knows");
        let _ = conflict.verify(&NETWORK, &mut KeyCache::new(), |_| true);
    }
}
