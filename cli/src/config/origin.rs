//! Where each value of the configuration comes from.

use core::fmt;
use std::collections::BTreeMap;

use serde::Serialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Where a value comes from. A later one in this list goes before an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "from", content = "at")]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// The line of the file.
    File(usize),
    /// The name of the environment variable.
    Environment(String),
    /// `--set`.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "line {line}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// The origins of all values that somebody set, and of the sections around them, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// The lines of a file. Nothing for a text that is no TOML: its syntax is the first thing to correct.
    pub(super) fn of_file(text: &str) -> Self {
        let mut origins = Self::default();
        if let Ok(table) = DeTable::parse(text) {
            origins.table(text, "", table.get_ref());
        }
        origins
    }

    fn table(&mut self, text: &str, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let inner = if path.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{path}.{}", key.get_ref())
            };
            self.value(text, &inner, key.span().start, value);
        }
    }

    fn value(&mut self, text: &str, path: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        self.0.insert(path.to_owned(), Origin::File(line));
        match value.get_ref() {
            DeValue::Table(table) => self.table(text, path, table),
            DeValue::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.value(text, &format!("{path}[{n}]"), item.span().start, item);
                }
            }
            _ => {}
        }
    }

    /// A value was set from elsewhere; what the file says below it counts no more.
    pub(super) fn set(&mut self, path: &str, origin: Origin) {
        self.0.retain(|other, _| !is_below(other, path));
        self.0.insert(path.to_owned(), origin);
    }

    /// The origin of a value.
    pub(crate) fn of(&self, path: &str) -> Origin {
        self.0.get(path).cloned().unwrap_or(Origin::Default)
    }

    /// The origin of a value, or of the section that it should stand in.
    pub(super) fn near(&self, path: &str) -> Origin {
        let mut at = path;
        loop {
            if let Some(origin) = self.0.get(at) {
                return origin.clone();
            }
            let Some(end) = at.rfind(['.', '[']) else { return Origin::Default };
            at = at.get(..end).unwrap_or_default();
        }
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[node]\nrpc = \"x\"\n\n[relayer.poll]\nl0 = \"1s\"\n[[chain]]\nid = 1\n\
                        [[chain]]\nrpc = [\n  \"a\",\n  \"b\",\n]\n[chain.beacon]\nurl = []\n";

    #[test]
    fn every_value_of_a_file_has_its_line() {
        let origins = Origins::of_file(TEXT);
        let lines = [
            ("node.rpc", 2),
            ("relayer.poll.l0", 5),
            ("chain[0].id", 7),
            ("chain[1].rpc", 9),
            ("chain[1].rpc[1]", 11),
            ("chain[1].beacon.url", 14),
        ];
        for (path, line) in lines {
            assert_eq!(origins.of(path), Origin::File(line), "{path}");
        }
        assert_eq!(origins.of("relayer.poll.l1"), Origin::Default);
    }

    #[test]
    fn a_missing_value_is_looked_for_where_it_should_stand() {
        let origins = Origins::of_file(TEXT);
        assert_eq!(origins.near("relayer.poll.l1"), origins.of("relayer.poll"));
        assert_eq!(origins.near("chain[0].kind"), origins.of("chain[0]"));
        assert_eq!(origins.near("log.json"), Origin::Default);
    }

    #[test]
    fn what_is_set_elsewhere_hides_the_file() {
        let mut origins = Origins::of_file(TEXT);
        origins.set("chain[1].rpc", Origin::Flag);
        assert_eq!(origins.near("chain[1].rpc[1]"), Origin::Flag);
        assert_eq!(origins.of("chain[1].beacon.url"), Origin::File(14));
    }
}
