//! Statements and their values.
//!
//! A statement is its text with `$n` in the places of its values; the same text runs on `SQLite` and on
//! PostgreSQL.

use std::borrow::Cow;

use alloy_primitives::{Address, B256};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::{BATCH, int};

/// No bytes: in the place of a payload that nobody needs any more.
pub(crate) const NOTHING: &[u8] = &[];

/// The value of one `$n`.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<&'a [u8]>),
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Int(Some(int(value)))
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    /// PostgreSQL stores no NUL, and reasons come from strangers' endpoints.
    fn from(value: &'a str) -> Self {
        let nul = value.contains('\0');
        Self::Text(Some(if nul { value.replace('\0', "\u{fffd}").into() } else { value.into() }))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        value.as_str().into()
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(value.into()))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::Text(None), Into::into)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'a> From<&'a B256> for Value<'a> {
    fn from(value: &'a B256) -> Self {
        value.as_slice().into()
    }
}

impl<'a> From<&'a Address> for Value<'a> {
    fn from(value: &'a Address) -> Self {
        value.as_slice().into()
    }
}

/// How the places of rows' values are written. `$n` is a name to `SQLite`, and its names are kept in a list that
/// every value of a statement searches: a batch has hundreds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// `$n`.
    Numbered,
    /// `?`, in the order of the values.
    Plain,
}

/// A statement with its values.
#[derive(Debug)]
pub(crate) struct Sql<'a> {
    pub(super) what: &'static str,
    text: &'static str,
    /// How many rows the text is for, with how many values each.
    rows: Option<(usize, usize)>,
    pub(super) values: Vec<Value<'a>>,
}

/// Every statement that was made in this process, for tests that look at how it is carried out.
#[cfg(test)]
pub(super) static MADE: std::sync::Mutex<std::collections::BTreeSet<String>> =
    std::sync::Mutex::new(std::collections::BTreeSet::new());

/// A statement; `what` says in errors what was being done.
///
/// A limit that is a value is written `LIMIT +$n`: of a bare one `SQLite`'s planner takes note of the value, and
/// plans the statement again whenever it is bound, which costs more than to carry it out.
pub(crate) fn sql<'a>(what: &'static str, text: &'static str) -> Sql<'a> {
    Sql { what, text, rows: None, values: Vec::new() }
}

/// A statement for several rows: `{rows}` in the text becomes `($1, $2), ($3, $4), …`, or `{list}` becomes
/// `$1, $2, $3, …`, and values of the rows are bound before all others. `{n}` becomes the number of the first
/// value after them, `{n+1}` the next one.
///
/// Rows are looked for by their keys. A list serves that better than rows where it is enough. A stage beside the
/// keys is written `(stage = 'sent') IS TRUE`, which no index serves: PostgreSQL would take the index of the open
/// items, which had been few when it planned, and read all of them.
pub(crate) fn sql_rows<'a>(
    what: &'static str,
    text: &'static str,
    rows: usize,
    columns: usize,
) -> Sql<'a> {
    Sql { what, text, rows: Some((rows, columns)), values: Vec::new() }
}

impl<'a> Sql<'a> {
    /// The next value.
    pub(crate) fn bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The next values.
    pub(crate) fn bind_all<V: Into<Value<'a>>>(
        mut self,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// Whether the database keeps the parsed statement for the next time.
    pub(super) fn is_kept(&self) -> bool {
        self.rows.is_none_or(|(rows, _)| rows == 1 || rows == BATCH)
    }

    /// The text for a database.
    pub(super) fn text(&self, places: Places) -> SqlStr {
        let Some((rows, columns)) = self.rows else {
            note(self.text);
            return self.text.into_sql_str();
        };
        let text = expand(self.text, rows, columns, places);
        note(&text);
        // Made of constants and numbers only.
        AssertSqlSafe(text).into_sql_str()
    }
}

fn expand(text: &str, rows: usize, columns: usize, places: Places) -> String {
    let row = |row: usize| {
        let place = |n| match places {
            Places::Numbered => format!("${}", row * columns + n),
            Places::Plain => String::from("?"),
        };
        (1..=columns).map(place).collect::<Vec<_>>().join(", ")
    };
    let lists: Vec<_> = (0..rows).map(row).collect();
    let mut text = text.replace("{list}", &lists.join(", "));
    text = text.replace("{rows}", &format!("({})", lists.join("), (")));
    for after in 0..4 {
        let name = if after == 0 { String::from("{n}") } else { format!("{{n+{after}}}") };
        text = text.replace(&name, &format!("${}", rows * columns + after + 1));
    }
    text
}

#[cfg(test)]
fn note(text: &str) {
    let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    made.insert(text.into());
}

#[cfg(not(test))]
const fn note(_text: &str) {}
