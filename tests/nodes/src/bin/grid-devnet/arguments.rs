//! The command line.

/// Shown for `--help`.
pub(crate) const HELP: &str = "\
usage: scripts/devnet [--check]

Starts bitcoind (regtest), anvil and grid, keeps them producing blocks with traffic, and shows what
runs where. Ctrl-C stops everything; a second start goes on where the first stopped.

  --check    the same unattended, on a chain of its own: walks through the commands of the README's
             tour, stops, and exits non-zero if any of them failed

environment:
  DEVNET_DIR    where the state is kept (.devnet)
  GRID_BIN      the grid binary to run instead of building one";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Run until Ctrl-C.
    Run,
    /// Run the tour and stop.
    Check,
}

impl Arguments {
    /// Reads the arguments; `None` asks for help.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self::Run;
        for word in words {
            match word.as_str() {
                "--check" => arguments = Self::Check,
                "-h" | "--help" => return Ok(None),
                other => return Err(format!("unknown argument: {other}")),
            }
        }
        Ok(Some(arguments))
    }
}
