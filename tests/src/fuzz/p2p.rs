//! Messages of Bitcoin's peer-to-peer protocol.

use bitcoin::{consensus, p2p::message::RawNetworkMessage};
use grid_adapters::bitcoin::p2p::wire::{Message, decode_stream};
use grid_core::bitcoin::header::sha256d;

/// Regtest's.
const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// Commands that are listened to, and one that is not.
const COMMANDS: [&[u8]; 9] =
    [b"version", b"verack", b"ping", b"pong", b"headers", b"inv", b"notfound", b"block", b"addr"];

/// Reads bytes as a peer's stream, then as the payload of one message of each command, whose checksum
/// is right. Headers that are taken rust-bitcoin takes too.
pub fn p2p_messages(data: &[u8]) {
    if let Ok(messages) = decode_stream(data, MAGIC) {
        assert!(messages.len() <= data.len() / 24, "a message without its 24 bytes");
    }
    for command in COMMANDS {
        let stream = frame(command, data);
        let Ok(messages) = decode_stream(&stream, MAGIC) else { continue };
        assert_eq!(messages.len(), 1);
        let twice = decode_stream(&[&stream[..], &stream].concat(), MAGIC);
        assert_eq!(twice.map(|messages| messages.len()), Ok(2));
        if let [Message::Headers(headers)] = messages.as_slice() {
            let theirs: RawNetworkMessage = consensus::deserialize(&stream).expect("taken by us");
            assert_eq!(consensus::serialize(&theirs), stream, "another spelling was taken");
            assert_eq!(headers.len(), data.len() / 81);
        }
    }
}

/// A whole message.
pub(super) fn frame(command: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut name = [0; 12];
    name[..command.len()].copy_from_slice(command);
    let length = u32::try_from(payload.len()).expect("inputs are short").to_le_bytes();
    let checksum = sha256d(payload);
    [&MAGIC[..], &name, &length, &checksum[..4], payload].concat()
}
