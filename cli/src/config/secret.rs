//! Printing a configuration without the keys that hide in addresses.

use toml::{Table, Value};

/// The configuration as a table in which every address shows its host only: providers put keys into paths and
/// queries, and a database's address may hold a password.
pub(crate) fn masked(mut table: Table) -> Table {
    for (_, value) in &mut table {
        mask(value);
    }
    table
}

/// A value as it may be printed.
pub(crate) fn masked_value(value: &Value) -> Value {
    let mut value = value.clone();
    mask(&mut value);
    value
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => *text = masked_text(text),
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| mask(value)),
        _ => {}
    }
}

/// What stands for what is not shown.
const HIDDEN: &str = "***";

fn masked_text(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, host) = match authority.rsplit_once('@') {
        None => (String::new(), authority),
        Some((login, host)) => match login.split_once(':') {
            None => (format!("{login}@"), host),
            Some((user, _)) => (format!("{user}:{HIDDEN}@"), host),
        },
    };
    let database = scheme.starts_with("postgres").then(|| tail.split(['?', '#']).next());
    let tail = match (database.flatten(), tail) {
        (Some(name), _) => name.to_owned(),
        (None, "" | "/") => tail.to_owned(),
        (None, _) => format!("/{HIDDEN}"),
    };
    format!("{scheme}://{login}{host}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_passwords_in_addresses_are_not_shown() {
        let cases = [
            ("http://127.0.0.1:8332", "http://127.0.0.1:8332"),
            ("https://mainnet.example/v3/KEY", "https://mainnet.example/***"),
            ("https://mainnet.example?key=KEY", "https://mainnet.example/***"),
            ("https://user:KEY@mainnet.example/", "https://user:***@mainnet.example/"),
            ("postgres://grid:KE:Y@db:5432/grid?password=KEY", "postgres://grid:***@db:5432/grid"),
            ("postgres://grid@db/grid", "postgres://grid@db/grid"),
            ("relayer.db", "relayer.db"),
            ("info,grid_relayer=debug", "info,grid_relayer=debug"),
        ];
        for (text, shown) in cases {
            assert_eq!(masked_text(text), shown);
        }
    }
}
