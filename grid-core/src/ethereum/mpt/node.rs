//! One node of a trie, read where it stands.
//!
//! `alloy-trie` decodes nodes too, but not branches with a value, which tries have where one key begins
//! another one.

use alloy_rlp::{EMPTY_STRING_CODE, Error, Header};

/// Nodes shorter than a hash stand in their parent.
pub(super) const HASH_BYTES: usize = 32;

/// What the RLP of a string of 32 bytes starts with.
const HASH_CODE: u8 = EMPTY_STRING_CODE + 32;

/// Where a node leads for a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// To the node with this hash.
    Hash(&'a [u8]),
    /// To a node that stands in this one.
    Inner(&'a [u8]),
    /// To the value.
    Value(&'a [u8]),
    /// Nowhere: the key is absent.
    End,
}

/// A key as a path of nibbles, and how far it has been walked.
#[derive(Debug)]
pub(super) struct Path<'a> {
    key: &'a [u8],
    at: usize,
}

impl<'a> Path<'a> {
    /// The path that is left of a key after its first `at` nibbles.
    pub(super) const fn new(key: &'a [u8], at: usize) -> Self {
        Self { key, at }
    }

    /// Nibbles that have been walked.
    pub(super) const fn depth(&self) -> usize {
        self.at
    }

    /// The next nibble, if the path goes on.
    fn next(&mut self) -> Option<u8> {
        let byte = *self.key.get(self.at / 2)?;
        let nibble = if self.at.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f };
        self.at = self.at.saturating_add(1);
        Some(nibble)
    }

    const fn is_done(&self) -> bool {
        self.at / 2 >= self.key.len()
    }
}

/// The items of a node's list, each with its own header.
fn items(mut bytes: &[u8]) -> Result<([&[u8]; 17], usize), Error> {
    let Header { list, payload_length } = Header::decode(&mut bytes)?;
    if !list {
        return Err(Error::UnexpectedString);
    }
    if bytes.len() != payload_length {
        return Err(Error::UnexpectedLength);
    }
    let (mut items, mut count) = ([&[][..]; 17], 0usize);
    while !bytes.is_empty() {
        // Nearly all items of a branch are hashes or empty.
        let length = match bytes.first() {
            Some(&EMPTY_STRING_CODE) => 1,
            Some(&HASH_CODE) => 1 + HASH_BYTES,
            _ => {
                let mut rest = bytes;
                let header = Header::decode(&mut rest)?;
                let head = bytes.len().saturating_sub(rest.len());
                head.saturating_add(header.payload_length)
            }
        };
        let (item, rest) = bytes.split_at_checked(length).ok_or(Error::InputTooShort)?;
        bytes = rest;
        *items.get_mut(count).ok_or(Error::Custom("a node with more than 17 items"))? = item;
        count = count.saturating_add(1);
    }
    Ok((items, count))
}

/// The payload of a string.
fn string(mut item: &[u8]) -> Result<&[u8], Error> {
    Header::decode_bytes(&mut item, false)
}

/// A child in a branch or an extension.
fn child(item: &[u8]) -> Result<Step<'_>, Error> {
    match item {
        [EMPTY_STRING_CODE] => Ok(Step::End),
        [0xc0..=0xff, ..] if item.len() < HASH_BYTES => Ok(Step::Inner(item)),
        [0xc0..=0xff, ..] => Err(Error::Custom("a node of 32 bytes or more inside of another one")),
        _ => match string(item)? {
            hash if hash.len() == HASH_BYTES => Ok(Step::Hash(hash)),
            _ => Err(Error::Custom("a child that is neither a hash nor a node")),
        },
    }
}

/// A value; a trie stores no empty ones.
fn value(item: &[u8]) -> Result<Step<'_>, Error> {
    match string(item)? {
        [] => Err(Error::Custom("an empty value")),
        value => Ok(Step::Value(value)),
    }
}

/// One step along the path.
pub(super) fn step<'a>(node: &'a [u8], path: &mut Path<'_>) -> Result<Step<'a>, Error> {
    let (items, count) = items(node)?;
    match (&items, count) {
        ([.., last], 17) => match path.next() {
            Some(nibble) => {
                items.get(usize::from(nibble)).map_or(Ok(Step::End), |item| child(item))
            }
            None if **last == [EMPTY_STRING_CODE] => Ok(Step::End),
            None => value(last),
        },
        ([key, target, ..], 2) => short(string(key)?, target, path),
        _ => Err(Error::Custom("a node that has neither 2 nor 17 items")),
    }
}

/// A leaf or an extension: the hex-prefix encoded part of the path, then the value or the child.
fn short<'a>(key: &[u8], target: &'a [u8], path: &mut Path<'_>) -> Result<Step<'a>, Error> {
    let (first, rest) = key.split_first().ok_or(Error::Custom("a node without a path"))?;
    let (is_leaf, odd) = match first >> 4 {
        0 => (false, false),
        1 => (false, true),
        2 => (true, false),
        3 => (true, true),
        _ => return Err(Error::Custom("an unknown kind of node")),
    };
    if !odd && first & 0x0f != 0 {
        return Err(Error::Custom("a path with dirty padding"));
    }
    if !is_leaf && !odd && rest.is_empty() {
        return Err(Error::Custom("an extension without a path"));
    }
    if odd && path.next() != Some(first & 0x0f) {
        return Ok(Step::End);
    }
    for byte in rest {
        if path.next() != Some(byte >> 4) || path.next() != Some(byte & 0x0f) {
            return Ok(Step::End);
        }
    }
    match (is_leaf, child_or_value(is_leaf, target)?) {
        (true, step) if path.is_done() => Ok(step),
        (true, _) => Ok(Step::End),
        (false, Step::End) => Err(Error::Custom("an extension without a child")),
        (false, step) => Ok(step),
    }
}

fn child_or_value(is_leaf: bool, target: &[u8]) -> Result<Step<'_>, Error> {
    if is_leaf { value(target) } else { child(target) }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    fn walk(node: &[u8], key: &[u8]) -> Result<String, Error> {
        step(node, &mut Path::new(key, 0)).map(|step| format!("{step:?}"))
    }

    #[test]
    fn leaves_extensions_and_branches_lead_on_or_end() {
        // A leaf at 0x12 with value 7; at 0x2 with value 7.
        assert_eq!(walk(&hex!("c4 82 2012 07"), &[0x12]).unwrap(), "Value([7])");
        assert_eq!(walk(&hex!("c4 82 2012 07"), &[0x13]).unwrap(), "End");
        assert_eq!(walk(&hex!("c4 82 2012 07"), &[0x12, 0x34]).unwrap(), "End");
        assert_eq!(walk(&hex!("c4 82 2012 07"), &[]).unwrap(), "End");
        // An extension of one nibble to a leaf in it.
        let extension = hex!("c4 11 c2 31 07");
        assert_eq!(walk(&extension, &[0x11]).unwrap(), "Inner([194, 49, 7])");
        assert_eq!(walk(&extension, &[0x21]).unwrap(), "End");
        // A branch with a leaf at 0 and a value of its own.
        let branch = hex!("d3 c2 20 07 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 09");
        assert_eq!(walk(&branch, &[]).unwrap(), "Value([9])");
        assert_eq!(walk(&branch, &[0x00]).unwrap(), "Inner([194, 32, 7])");
        assert_eq!(walk(&branch, &[0x10]).unwrap(), "End");
    }

    #[test]
    fn malformed_nodes_are_errors() {
        let bad: [&[u8]; 14] = [
            &[],
            &[0x80],
            &[0xc0],
            &hex!("c3 20 07"),
            &hex!("c2 20 07 00"),
            &hex!("c3 20 07 07"),
            &hex!("c2 40 07"),
            &hex!("c2 21 07"),
            &hex!("c2 80 07"),
            &hex!("c2 20 80"),
            &hex!("c3 20 81 07"),
            &hex!("c4 00 c2 31 07"),
            &hex!("c2 11 80"),
            &hex!("c2 11 07"),
        ];
        for node in bad {
            assert!(walk(node, &[]).is_err() || walk(node, &[0x11]).is_err(), "{node:02x?}");
        }
        let many = [&[0xd2][..], &[0x80; 18]].concat();
        assert!(walk(&many, &[]).is_err());
    }
}
