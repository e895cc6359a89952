//! Reading `grid.toml`, with overrides from the environment.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError, Fault, check};

/// Sections that the environment can override.
const OVERRIDABLE: [&str; 3] = ["node", "relayer", "log"];
/// Sections inside of these.
const NESTED: [&str; 2] = ["poll", "p2p"];
/// More faults than this are not worth listing.
const MAX_FAULTS: usize = 64;

/// Reads and checks a configuration.
///
/// # Errors
/// [`ConfigError`]; where values are wrong, all of them.
pub(crate) fn load(
    file: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        file: file.to_owned(),
        message: error.to_string(),
    })?;
    override_from(&mut table, environment);
    let (config, mut faults) = decode(table);
    if let Some(config) = config {
        faults.extend(check::faults(&config));
        if faults.is_empty() {
            return Ok(config);
        }
    }
    Err(ConfigError::Faults { file: file.to_owned(), faults })
}

/// `GRID_NODE_BLOCK_INTERVAL=2s` sets `node.block_interval`; `GRID_RELAYER_POLL_L0` sets `relayer.poll.l0`, and
/// `GRID_NODE_P2P_LISTEN` sets `node.p2p.listen`.
fn override_from(table: &mut Table, environment: impl IntoIterator<Item = (String, String)>) {
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("GRID_") else { continue };
        let rest = rest.to_ascii_lowercase();
        for section in OVERRIDABLE {
            let Some(key) = rest.strip_prefix(section).and_then(|key| key.strip_prefix('_')) else {
                continue;
            };
            let entry =
                table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(entry) = entry else { continue };
            let inner = NESTED.iter().find_map(|name| {
                let key = key.strip_prefix(name)?.strip_prefix('_')?;
                Some((*name, key))
            });
            if let Some((name, key)) = inner {
                let inner =
                    entry.entry(name.to_owned()).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(inner) = inner {
                    inner.insert(key.to_owned(), scalar(&value));
                }
            } else {
                entry.insert(key.to_owned(), scalar(&value));
            }
        }
    }
}

/// A number or boolean where the text is one, else a string.
fn scalar(text: &str) -> Value {
    text.parse::<i64>()
        .map(Value::Integer)
        .or_else(|_| text.parse::<bool>().map(Value::Boolean))
        .unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Decodes, and on each fault notes it, takes the faulty value out and decodes again, so that one wrong
/// value does not hide the next.
fn decode(mut table: Table) -> (Option<Config>, Vec<Fault>) {
    let mut faults = Vec::new();
    while faults.len() < MAX_FAULTS {
        match serde_path_to_error::deserialize::<_, Config>(Value::Table(table.clone())) {
            Ok(config) => return (Some(config), faults),
            Err(error) => {
                let mut path: Vec<String> = segments(&error.path().to_string());
                let message = error.inner().message().trim().to_owned();
                if let Some(unknown) = unknown_field(&message)
                    && path.last().map(String::as_str) != Some(unknown)
                {
                    path.push(unknown.to_owned());
                }
                let removed = remove(&mut table, &path);
                faults.push(Fault::new(shown(&path), message));
                if !removed {
                    break;
                }
            }
        }
    }
    (None, faults)
}

fn unknown_field(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// `chain[0].rpc` → `chain`, `0`, `rpc`.
fn segments(path: &str) -> Vec<String> {
    path.split(['.', '[', ']']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn shown(path: &[String]) -> String {
    let mut out = String::new();
    for part in path {
        if part.chars().all(|c| c.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    if out.is_empty() { "the file".into() } else { out }
}

/// Takes the value at `path` out; `false` where there is none (a missing value cannot be taken out).
fn remove(table: &mut Table, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut at: Option<&mut Value> = None;
    for part in parents {
        let next = match at {
            None => table.get_mut(part),
            Some(Value::Table(inner)) => inner.get_mut(part),
            Some(Value::Array(items)) => part.parse().ok().and_then(|n: usize| items.get_mut(n)),
            Some(_) => None,
        };
        if next.is_none() {
            return false;
        }
        at = next;
    }
    match at {
        None => table.remove(last).is_some(),
        Some(Value::Table(inner)) => inner.remove(last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(n) if n < items.len() => {
                items.remove(n);
                true
            }
            _ => false,
        },
        Some(_) => false,
    }
}
