//! The messages, and their bytes.
//!
//! A request is a tag and RLP: `0x00` and the hashes of transactions that the sender has, answered by
//! `0x80`, that they were noted; `0x01` and the hashes of transactions that it asks for, answered by an
//! RLP list of transactions in their EIP-2718 encoding. That list follows the hashes asked for: an empty
//! string where one is not there, and what is beyond its end was left out for its size.

use std::io;

use alloy_primitives::{B256, Bytes};
use async_trait::async_trait;
use grid_core::transition::MAX_TRANSACTION_BYTES;
use libp2p::{
    StreamProtocol,
    futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    request_response,
};

/// Most hashes in one request.
pub const MAX_HASHES: usize = 1_024;
/// Most bytes of a request: 33 for each hash, and some for the list.
pub(super) const MAX_REQUEST: usize = MAX_HASHES * 33 + 16;
/// Bytes of transactions after which an answer is full. One transaction always fits in.
pub(super) const FULL_ANSWER: usize = 512 * 1024;
/// Most bytes of an answer: a full one and the transaction that filled it, with their RLP prefixes.
pub(super) const MAX_ANSWER: usize = FULL_ANSWER + MAX_TRANSACTION_BYTES + MAX_HASHES * 4 + 16;

/// What one node asks another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// These transactions wait here.
    Announce(Vec<B256>),
    /// Send these transactions.
    Fetch(Vec<B256>),
}

/// What the other answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The announcement was read; the next one may come.
    Noted,
    /// The transactions, in the order in which they were asked for.
    Transactions(Vec<Bytes>),
}

impl Request {
    /// The bytes of the request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (tag, hashes) = match self {
            Self::Announce(hashes) => (0, hashes),
            Self::Fetch(hashes) => (1, hashes),
        };
        [&[tag], alloy_rlp::encode(hashes).as_slice()].concat()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (tag, rest) = bytes.split_first().ok_or("a request without a byte")?;
        if bytes.len() > MAX_REQUEST {
            return Err(format!("a request of {} bytes", bytes.len()));
        }
        let hashes: Vec<B256> = alloy_rlp::decode_exact(rest).map_err(|error| error.to_string())?;
        if hashes.len() > MAX_HASHES {
            return Err(format!("{} hashes, at most {MAX_HASHES} are allowed", hashes.len()));
        }
        match tag {
            0 => Ok(Self::Announce(hashes)),
            1 => Ok(Self::Fetch(hashes)),
            _ => Err(format!("unknown request {tag}")),
        }
    }
}

impl Answer {
    /// The bytes of the answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Noted => vec![alloy_rlp::EMPTY_STRING_CODE],
            Self::Transactions(transactions) => alloy_rlp::encode(transactions),
        }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes == [alloy_rlp::EMPTY_STRING_CODE] {
            return Ok(Self::Noted);
        }
        if bytes.len() > MAX_ANSWER {
            return Err(format!("an answer of {} bytes", bytes.len()));
        }
        let transactions: Vec<Bytes> =
            alloy_rlp::decode_exact(bytes).map_err(|error| error.to_string())?;
        if transactions.len() > MAX_HASHES {
            return Err(format!("{} transactions in one answer", transactions.len()));
        }
        Ok(Self::Transactions(transactions))
    }
}

/// The messages on a stream of their own each, which ends with them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Codec;

async fn read(io: &mut (impl AsyncRead + Unpin + Send), most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.take(most as u64 + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[async_trait]
impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    // An error of reading a request is told to nobody, so what was read may be no request.
    type Request = Result<Request, String>;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        Ok(Request::decode(&read(io, MAX_REQUEST).await?))
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read(io, MAX_ANSWER).await?;
        if bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"));
        }
        Answer::decode(&bytes).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = request.map_err(io::Error::other)?;
        io.write_all(&request.encode()).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        answer: Answer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&answer.encode()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        let hashes = vec![B256::repeat_byte(7); MAX_HASHES];
        for request in [Request::Announce(Vec::new()), Request::Fetch(hashes)] {
            assert!(request.encode().len() <= MAX_REQUEST);
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        let large = Bytes::from(vec![1; MAX_TRANSACTION_BYTES]);
        let mut full = vec![Bytes::from(vec![2; 512]); MAX_HASHES - 1];
        full.push(large);
        for answer in [Answer::Noted, Answer::Transactions(vec![]), Answer::Transactions(full)] {
            assert!(answer.encode().len() <= MAX_ANSWER);
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
    }

    #[test]
    fn what_is_too_much_or_not_a_message_is_refused() {
        let many = Request::Announce(vec![B256::ZERO; MAX_HASHES + 1]).encode();
        assert!(Request::decode(&many).is_err());
        assert!(Request::decode(&[]).is_err());
        assert!(Request::decode(&[2, 0xc0]).unwrap_err().contains("unknown request 2"));
        assert!(Request::decode(&[0, 0xc0, 0]).is_err(), "bytes behind the list");
        assert!(Request::decode(&[0, 0xc1, 0x80]).is_err(), "a hash without its 32 bytes");
        assert!(Answer::decode(&[]).is_err(), "a stream that was cut off");
        assert!(Answer::decode(&[0xc1]).is_err());
        assert!(Answer::decode(&vec![0; MAX_ANSWER + 1]).is_err());
    }
}
