//! `grid config`.

use eyre::{Result, WrapErr as _};

use crate::{args::ConfigCommand, home::Home, output::Output};

pub(super) fn run(home: &Home, command: &ConfigCommand, out: Output) -> Result<()> {
    let config = home.config()?;
    match command {
        ConfigCommand::Check => {
            let file = home.config_file().display().to_string();
            let answer = serde_json::json!({ "ok": true, "file": file });
            out.show(&answer, |_| format!("{file} is good: {} chain(s)", config.chains.len()))
        }
        ConfigCommand::Show => {
            let text =
                toml::to_string_pretty(&config).wrap_err("cannot print the configuration")?;
            out.show(&config, |_| text)
        }
    }
}
