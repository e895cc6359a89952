use bitcoin::p2p::message::NetworkMessage;
use proptest::prelude::*;

use super::*;

const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

fn framed(command: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(command.bytes().chain(core::iter::repeat(0)).take(12));
    bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    bytes.extend(&header::hash(payload)[..4]);
    bytes.extend(payload);
    bytes
}

fn refused(bytes: &[u8]) -> String {
    decode_stream(bytes, MAGIC).unwrap_err().to_string()
}

#[test]
fn headers_are_read_as_they_are() {
    let mut payload = vec![2];
    payload.extend([1; 80]);
    payload.push(0);
    payload.extend([2; 80]);
    payload.push(0);
    let messages = decode_stream(&framed("headers", &payload), MAGIC).unwrap();
    assert_eq!(messages, [Message::Headers(vec![[1; 80], [2; 80]])]);
    let none = decode_stream(&framed("headers", &[0]), MAGIC).unwrap();
    assert_eq!(none, [Message::Headers(Vec::new())]);
}

#[test]
fn headers_with_a_wrong_count_or_transactions_are_refused() {
    let mut payload = vec![1];
    payload.extend([1; 81]);
    assert!(refused(&framed("headers", &payload)).contains("transactions"));
    payload[0] = 2;
    payload[81] = 0;
    assert!(refused(&framed("headers", &payload)).contains("2 headers in 82 bytes"));
    payload[0] = 1;
    payload.push(0);
    assert!(refused(&framed("headers", &payload)).contains("malformed headers"));
    assert!(refused(&framed("headers", &[])).contains("malformed headers"));
    let mut many = vec![0xfd];
    many.extend(2_001u16.to_le_bytes());
    many.resize(3 + 2_001 * 81, 0);
    assert!(refused(&framed("headers", &many)).contains("at most"));
}

#[test]
fn lengths_are_bounded_by_command_before_anything_is_read() {
    for (command, length) in [
        ("headers", 9 + 2_000 * 81 + 1),
        ("ping", 9),
        ("verack", 1),
        ("version", 1_025),
        ("block", 4_000_001),
        ("tx", 4_000_001),
        ("anything", u32::MAX),
    ] {
        let mut bytes = framed(command, &[]);
        bytes[16..20].copy_from_slice(&length.to_le_bytes());
        assert!(refused(&bytes).contains("at most"), "{command}");
    }
}

#[test]
fn another_network_and_a_wrong_checksum_are_refused() {
    let ping = encode(MAGIC, NetworkMessage::Ping(7));
    assert_eq!(decode_stream(&ping, MAGIC), Ok(vec![Message::Ping(7)]));
    let mainnet = [0xf9, 0xbe, 0xb4, 0xd9];
    assert!(matches!(
        decode_stream(&ping, mainnet),
        Err(WireError::WrongMagic { found: MAGIC, .. })
    ));
    let mut edited = ping;
    edited[24] ^= 1;
    assert!(refused(&edited).contains("ping message with a wrong checksum"));
}

#[test]
fn announced_blocks_are_told_from_transactions() {
    let block = Inventory::Block(bitcoin::BlockHash::from_byte_array([3; 32]));
    let tx = Inventory::Transaction(bitcoin::Txid::from_byte_array([4; 32]));
    let message = encode(MAGIC, NetworkMessage::Inv(vec![tx, block]));
    let expected = Message::Inventory(vec![B256::repeat_byte(3)]);
    assert_eq!(decode_stream(&message, MAGIC), Ok(vec![expected]));
}

#[test]
fn unknown_commands_and_unfinished_messages_are_left_out() {
    let mut bytes = framed("sendcmpct", &[0; 9]);
    bytes.extend(framed("\u{1}\u{7f}", &[9; 100]));
    bytes.extend(encode(MAGIC, NetworkMessage::Verack));
    bytes.extend(&framed("headers", &[0])[..20]);
    let messages = decode_stream(&bytes, MAGIC).unwrap();
    assert_eq!(messages, [Message::Ignored, Message::Ignored, Message::Verack]);
}

#[tokio::test]
async fn a_block_that_nobody_asked_for_is_skipped_without_being_kept() {
    let mut bytes = framed("block", &vec![7; 1_000_000]);
    bytes.extend(encode(MAGIC, NetworkMessage::Pong(1)));
    let mut reader = Reader::new(&bytes[..], MAGIC);
    let started = reader.start().await.unwrap();
    assert_eq!(reader.finish(started, false).await.unwrap(), Message::Ignored);
    assert!(reader.payload.capacity() < 1_000);
    let started = reader.start().await.unwrap();
    assert_eq!(reader.finish(started, false).await.unwrap(), Message::Pong(1));
}

#[tokio::test]
async fn memory_follows_what_arrives_not_what_is_claimed() {
    let mut bytes = framed("block", &[]);
    bytes[16..20].copy_from_slice(&4_000_000u32.to_le_bytes());
    bytes.extend([0; 100]);
    let mut reader = Reader::new(&bytes[..], MAGIC);
    let started = reader.start().await.unwrap();
    assert!(reader.finish(started, true).await.is_err());
    assert!(reader.payload.capacity() < 1 << 16, "{}", reader.payload.capacity());
}

proptest! {
    #[test]
    fn no_bytes_bring_the_decoder_down(
        command in prop::sample::select(vec!["version", "headers", "inv", "notfound", "ping", "block", "x"]),
        payload in prop::collection::vec(any::<u8>(), 0..400),
        cut in 0usize..500,
    ) {
        let bytes = framed(command, &payload);
        let _ = decode_stream(&bytes[..cut.min(bytes.len())], MAGIC);
        let _ = decode_stream(&payload, MAGIC);
    }

    #[test]
    fn a_stream_reads_the_same_in_one_piece_and_message_by_message(
        nonces in prop::collection::vec(any::<u64>(), 0..5),
    ) {
        let whole: Vec<u8> =
            nonces.iter().flat_map(|n| encode(MAGIC, NetworkMessage::Ping(*n))).collect();
        let expected: Vec<Message> = nonces.into_iter().map(Message::Ping).collect();
        prop_assert_eq!(decode_stream(&whole, MAGIC), Ok(expected));
    }
}
