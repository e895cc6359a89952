//! `grid completions` and `grid man`: what shells and `man` know of the command line.

use std::fs;

use clap::CommandFactory as _;
use clap_complete::Shell;
use eyre::{Result, WrapErr as _};

use crate::{
    args::{Cli, ManArgs},
    output::{Output, write_line},
};

/// Prints a shell's completion script.
pub(super) fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "grid", &mut script);
    write_line(&String::from_utf8(script).wrap_err("the completion script is no text")?)
}

/// Writes a manual page for every command.
pub(super) fn man(args: &ManArgs, out: Output) -> Result<()> {
    let dir = &args.dir;
    fs::create_dir_all(dir).wrap_err_with(|| format!("cannot create {}", dir.display()))?;
    clap_mangen::generate_to(Cli::command(), dir)
        .wrap_err_with(|| format!("cannot write manual pages to {}", dir.display()))?;
    let answer = serde_json::json!({ "dir": dir });
    out.show(&answer, |_| format!("wrote the manual pages to {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The command itself and all below it, each with the name of its page: `grid-relayer-run`.
    fn commands() -> Vec<(String, clap::Command)> {
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        let mut found = Vec::new();
        let mut open = vec![(String::from("grid"), root)];
        while let Some((name, command)) = open.pop() {
            let inner = command.get_subcommands();
            open.extend(inner.map(|inner| (format!("{name}-{}", inner.get_name()), inner.clone())));
            found.push((name, command));
        }
        found
    }

    #[test]
    fn every_command_has_a_page_that_names_it_and_its_options() {
        let dir = tempfile::tempdir().unwrap();
        let args = ManArgs { dir: dir.path().join("man") };
        man(&args, Output { json: false }).unwrap();
        let all = commands();
        assert!(all.len() > 40, "{} commands only", all.len());
        for (name, command) in all {
            let page = fs::read_to_string(args.dir.join(format!("{name}.1"))).unwrap();
            assert!(page.contains(&name.replace('-', "\\-")), "{name}: {page}");
            for option in command.get_opts().filter_map(clap::Arg::get_long) {
                let written = option.replace('-', "\\-");
                assert!(page.contains(&written), "{name}: --{option} is missing");
            }
        }
        let run = fs::read_to_string(args.dir.join("grid-relayer-run.1")).unwrap();
        assert!(run.contains("dry\\-run"), "{run}");
    }

    #[test]
    fn bash_reads_the_completions_and_every_shell_knows_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "grid", &mut script);
            let text = String::from_utf8(script.clone()).unwrap();
            for (name, _) in commands() {
                let last = name.rsplit('-').next().unwrap();
                assert!(text.contains(last), "{shell}: {name} is missing");
            }
            if shell == Shell::Bash {
                let mut file = tempfile::NamedTempFile::new().unwrap();
                file.write_all(&script).unwrap();
                let read = std::process::Command::new("bash").arg("-n").arg(file.path()).output();
                let read = read.unwrap();
                assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
            }
        }
    }
}
