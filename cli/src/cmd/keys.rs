//! `grid keys`.

use eyre::Result;

use crate::{
    args::KeysCommand,
    home::Home,
    keys,
    output::{Output, table},
};

pub(super) fn run(home: &Home, command: &KeysCommand, out: Output) -> Result<()> {
    match command {
        KeysCommand::New { name } => {
            let password = keys::password(Some(&home.password_file()))?;
            let key = keys::create(&home.keys_dir(), name, &password)?;
            out.show(&key, |key| format!("{}  {}", key.address, key.file.display()))
        }
        KeysCommand::List => {
            let listed = keys::list(&home.keys_dir())?;
            out.show(&listed, |listed| {
                if listed.is_empty() {
                    return format!(
                        "no keys in {}; create one with `grid keys new NAME`",
                        home.keys_dir().display()
                    );
                }
                table(
                    ["NAME", "ADDRESS", "FILE"],
                    listed.iter().map(|key| {
                        [key.name.clone(), key.address.to_string(), key.file.display().to_string()]
                    }),
                )
            })
        }
    }
}
