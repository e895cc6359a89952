//! `grid config`.

use std::process::ExitCode;

use eyre::{Result, WrapErr as _};
use serde::Serialize;
use toml::{Table, Value};

use crate::{
    args::ConfigCommand,
    config::{self, Config, ConfigError, Origin},
    home::Home,
    keys::PASSWORD_VARIABLE,
    output::{Output, table},
};

pub(super) fn run(home: &Home, command: &ConfigCommand, out: Output) -> Result<ExitCode> {
    match command {
        ConfigCommand::Check => check(home, out),
        ConfigCommand::Show { origin: false } => show(&home.config()?, out),
        ConfigCommand::Show { origin: true } => origins(home, out),
    }
}

fn check(home: &Home, out: Output) -> Result<ExitCode> {
    let file = home.config_file().display().to_string();
    match home.load() {
        Ok(loaded) => {
            let answer = serde_json::json!({ "ok": true, "file": file, "faults": [] });
            let chains = loaded.config.chains.len();
            out.show(&answer, |_| format!("{file} is good: {chains} chain(s)"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(ConfigError::Faults { faults, .. }) if out.json => {
            let answer = serde_json::json!({ "ok": false, "file": file, "faults": faults });
            out.show(&answer, |_| String::new())?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

fn printable(config: &Config) -> Result<Table> {
    let table = Table::try_from(config).wrap_err("cannot print the configuration")?;
    Ok(config::masked(table))
}

fn show(config: &Config, out: Output) -> Result<ExitCode> {
    let table = printable(config)?;
    let text = toml::to_string_pretty(&table).wrap_err("cannot print the configuration")?;
    out.show(&table, |_| text)?;
    Ok(ExitCode::SUCCESS)
}

/// One value in force.
#[derive(Debug, Serialize)]
struct Setting {
    path: String,
    value: Value,
    origin: Origin,
}

fn origins(home: &Home, out: Output) -> Result<ExitCode> {
    let loaded = home.load()?;
    let setting = |(path, value): (String, Value)| {
        let origin = loaded.origins.of(&path);
        Setting { path, value, origin }
    };
    let settings: Vec<Setting> =
        config::leaves(&printable(&loaded.config)?).into_iter().map(setting).collect();
    out.show(&settings, |settings| {
        let row = |setting: &Setting| {
            let (path, value) = (setting.path.clone(), setting.value.to_string());
            [path, value, setting.origin.to_string()]
        };
        let mut text = format!("# {}\n", home.config_file().display());
        text.push_str(&table(["SETTING", "VALUE", "FROM"], settings.iter().map(row)));
        if std::env::var_os(PASSWORD_VARIABLE).is_some() {
            text.push_str(&format!("# {PASSWORD_VARIABLE} goes before every password_file\n"));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}
