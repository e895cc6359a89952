//! Printing: text for people, JSON for programs.

use std::io::{self, Write as _};

use comfy_table::{Table, presets};
use eyre::Result;
use serde::Serialize;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// JSON instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints a value: as JSON, or as the text that `people` makes of it. A reader that went away (a closed pipe)
    /// ends the command quietly.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        people: impl FnOnce(&T) -> String,
    ) -> Result<()> {
        let text = if self.json { serde_json::to_string_pretty(value)? } else { people(value) };
        write_line(&text)
    }
}

/// Writes to standard output with a line end.
pub(crate) fn write_line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A plain table with a head line.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row.to_vec());
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A hash, shortened for a table.
pub(crate) fn short(hash: &str) -> String {
    match (hash.get(..10), hash.get(hash.len().saturating_sub(6)..)) {
        (Some(head), Some(tail)) if hash.len() > 20 => format!("{head}…{tail}"),
        _ => hash.to_owned(),
    }
}
