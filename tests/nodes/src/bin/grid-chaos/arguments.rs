//! The command line.

use std::{path::PathBuf, str::FromStr, time::Duration};

/// Shown for `--help`.
pub(crate) const HELP: &str = "\
usage: scripts/chaos-cluster [--minutes 30] [--nodes 4] [--interval-ms 500] [--seed N] [--dir DIR]

Starts validators on the loopback interface, sends transfers, and kills nodes (kill -9) at random: one, more than the
network tolerates, all. At the end every block of every node is checked with grid-core. Exits non-zero if the chain
does not recover, forks, or loses a block that a client saw.

  --minutes N       how long nodes are killed (30)
  --nodes N         validators (4)
  --interval-ms N   block interval (500)
  --seed N          the same seed draws the same kills; a new one each time
  --dir DIR         keep the homes and logs there";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) minutes: u64,
    pub(crate) nodes: usize,
    pub(crate) interval: Duration,
    pub(crate) seed: u64,
    pub(crate) folder: Option<PathBuf>,
}

impl Arguments {
    /// Reads the arguments; `None` asks for help.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self {
            minutes: 30,
            nodes: 4,
            interval: Duration::from_millis(500),
            seed: rand::random(),
            folder: None,
        };
        while let Some(word) = words.next() {
            if word == "-h" || word == "--help" {
                return Ok(None);
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--minutes" => arguments.minutes = number(&word, &value)?,
                "--nodes" => arguments.nodes = number(&word, &value)?,
                "--interval-ms" => {
                    arguments.interval = Duration::from_millis(number(&word, &value)?);
                }
                "--seed" => arguments.seed = number(&word, &value)?,
                "--dir" => arguments.folder = Some(value.into()),
                _ => return Err(format!("unknown argument: {word}")),
            }
        }
        Ok(Some(arguments))
    }
}

fn number<T: FromStr>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{word} {value}: not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_refused_by_name() {
        let read = |line: &str| Arguments::read(line.split_whitespace().map(str::to_owned));
        let found = read("--minutes 2 --nodes 7 --seed 5 --interval-ms 250").unwrap().unwrap();
        assert_eq!((found.minutes, found.nodes, found.seed), (2, 7, 5));
        assert_eq!(found.interval, Duration::from_millis(250));
        assert_eq!(read("--help"), Ok(None));
        assert_eq!(read("--minutes").unwrap_err(), "--minutes needs a value");
        assert_eq!(read("--minutes soon").unwrap_err(), "--minutes soon: not a number");
        assert_eq!(read("--hours 3").unwrap_err(), "unknown argument: --hours");
    }
}
