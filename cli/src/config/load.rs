//! Reading `grid.toml`, with overrides from the environment and the command line.

use std::path::Path;

use toml::{Table, Value};

use super::{
    Config, ConfigError, Fault, Origin, Origins, check,
    path::{insert, remove, segments, shown},
    words,
};

/// Sections that the environment can override, those inside others first.
pub(super) const SECTIONS: [&str; 12] = [
    "relayer.lanes.l0",
    "relayer.lanes.l1",
    "relayer.lanes.l2",
    "relayer.lanes.l3",
    "node.p2p",
    "relayer.admin",
    "relayer.guarantee",
    "relayer.poll",
    "relayer.pool",
    "node",
    "relayer",
    "log",
];
/// More faults than this are not worth listing.
const MAX_FAULTS: usize = 64;

/// What goes before the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    /// The process's environment: of interest are `GRID_NODE_…`, `GRID_RELAYER_…`, `GRID_LOG_…` and `RUST_LOG`.
    pub(crate) environment: Vec<(String, String)>,
    /// `--set PATH=VALUE`, in order.
    pub(crate) flags: Vec<String>,
}

impl Overrides {
    /// This process's environment; variables that are no text are none of ours.
    pub(crate) fn new(flags: Vec<String>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { environment: std::env::vars_os().filter_map(text).collect(), flags }
    }
}

/// A configuration, and where each value of it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) config: Config,
    /// Their origins.
    pub(crate) origins: Origins,
}

/// Reads and checks a configuration.
///
/// # Errors
/// [`ConfigError`]; where values are wrong, all of them.
pub(crate) fn load(file: &Path, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        file: file.to_owned(),
        message: error.to_string(),
    })?;
    let mut origins = Origins::of_file(&text);
    let mut faults = Vec::new();
    for (name, path, value) in of_environment(&overrides.environment) {
        // Sections are tables, so that there is always a place for a value.
        if insert(&mut table, &segments(&path), scalar(value)) {
            origins.set(&path, Origin::Environment(name.to_owned()));
        }
    }
    for flag in &overrides.flags {
        match of_flag(flag, &mut table) {
            Ok(path) => origins.set(path, Origin::Flag),
            Err(fault) => faults.push(fault),
        }
    }
    let (config, found) = decode(table);
    faults.extend(found);
    if let Some(config) = config {
        faults.extend(check::faults(&config));
        if faults.is_empty() {
            return Ok(Loaded { config, origins });
        }
    }
    for fault in &mut faults {
        fault.origin = fault.origin.take().or_else(|| match origins.near(&fault.path) {
            Origin::Default => None,
            origin => Some(origin),
        });
    }
    Err(ConfigError::Faults { file: file.to_owned(), faults })
}

/// `GRID_NODE_BLOCK_INTERVAL=2s` sets `node.block_interval`; `GRID_RELAYER_POLL_L0` sets `relayer.poll.l0`, and
/// `GRID_NODE_P2P_LISTEN` sets `node.p2p.listen`. `RUST_LOG`, which programs in Rust share, goes before
/// `GRID_LOG_FILTER`.
fn of_environment(environment: &[(String, String)]) -> impl Iterator<Item = (&str, String, &str)> {
    let ours = environment.iter().filter_map(|(name, value)| {
        let rest = name.strip_prefix("GRID_")?.to_ascii_lowercase();
        let path = SECTIONS.iter().find_map(|section| {
            let key = rest.strip_prefix(&section.replace('.', "_"))?.strip_prefix('_')?;
            Some(format!("{section}.{key}"))
        })?;
        Some((name.as_str(), path, value.as_str()))
    });
    let filter = environment.iter().filter(|(name, _)| name == "RUST_LOG");
    ours.chain(filter.map(|(name, value)| (name.as_str(), "log.filter".into(), value.as_str())))
}

/// Puts `PATH=VALUE` into the table and returns the path.
fn of_flag<'a>(flag: &'a str, table: &mut Table) -> Result<&'a str, Fault> {
    let fault = |path: &str, text: &str| Fault::at(path, text, Origin::Flag);
    let (path, value) = flag
        .split_once('=')
        .ok_or_else(|| fault(flag, "expected PATH=VALUE, for example relayer.poll.l0=1s"))?;
    if insert(table, &segments(path), scalar(value)) {
        Ok(path)
    } else {
        Err(fault(path, "there is no such section in the file"))
    }
}

/// A number, a boolean or a list where the text is one, else a string.
fn scalar(text: &str) -> Value {
    let list = || {
        let value: Value = text.starts_with('[').then(|| text.parse().ok())??;
        value.is_array().then_some(value)
    };
    text.parse::<i64>()
        .map(Value::Integer)
        .or_else(|_| text.parse::<bool>().map(Value::Boolean))
        .unwrap_or_else(|_| list().unwrap_or_else(|| Value::String(text.to_owned())))
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
                if let Some(unknown) = words::unknown_field(&message)
                    && path.last().map(String::as_str) != Some(unknown)
                {
                    path.push(unknown.to_owned());
                }
                let removed = remove(&mut table, &path);
                faults.push(Fault::new(shown(&path), words::for_people(&message)));
                if !removed {
                    break;
                }
            }
        }
    }
    (None, faults)
}
