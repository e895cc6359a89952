//! The commands that the documentation for operators gives are commands of this program.

use std::{fs, path::Path};

use clap::Parser as _;

use crate::args::Cli;

/// Pages with commands in their console blocks and between backticks.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let runbooks = fs::read_dir(root.join("docs/runbooks")).expect("runbooks");
    let files = runbooks.map(|entry| entry.expect("an entry").path());
    files
        .chain(
            ["docker/README.md", "docs/operating-a-node.md", "docs/operating-a-relayer.md"]
                .map(|page| root.join(page)),
        )
        .map(|file| (file.display().to_string(), fs::read_to_string(&file).expect("a page")))
        .collect()
}

/// Commands of `grid` in a page: lines of console blocks, with those that follow a backslash, and words between backticks.
fn commands(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.strip_prefix("$ "));
    let quoted = joined.split('`').skip(1).step_by(2);
    let of_containers = [" run --rm grid ", " exec grid grid "];
    lines
        .chain(quoted)
        .map(|line| line.split(" #").next().unwrap_or(line).trim())
        .filter_map(|line| {
            let inside = of_containers.iter().find_map(|mark| line.split_once(mark));
            inside.map_or_else(|| line.strip_prefix("grid "), |(_, rest)| Some(rest))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_in_the_runbooks_parses() {
    let mut found = 0;
    for (file, page) in pages() {
        for command in commands(&page) {
            // `grid …` and names without arguments, as in a sentence.
            if command.starts_with('…') {
                continue;
            }
            let words = std::iter::once("grid").chain(command.split_whitespace());
            let parsed = Cli::try_parse_from(words);
            let partly = parsed.as_ref().is_err_and(|error| {
                use clap::error::ErrorKind::{InvalidValue, MissingRequiredArgument};
                // `grid init --bitcoin-start`: an option's name in a sentence.
                matches!(error.kind(), InvalidValue | MissingRequiredArgument)
                    && error.to_string().contains("a value is required")
            });
            assert!(parsed.is_ok() || partly, "{file}: grid {command}: {}", parsed.unwrap_err());
            found += 1;
        }
    }
    assert!(found > 50, "{found} commands only: the pages are not read as they are written");
}
