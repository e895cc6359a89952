//! The README's tour as a script.
//!
//! The commands are those of the `console` blocks below the heading `## Tour`: lines that begin with
//! `$ `, and their continuations after a backslash. The other lines of a block show output.

/// The commands in their order.
pub(crate) fn commands(readme: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let (mut in_tour, mut in_block, mut continues) = (false, false, false);
    for line in readme.lines() {
        if !in_block && line.starts_with("## ") {
            in_tour = line.trim_start_matches('#').trim().starts_with("Tour");
        } else if line.starts_with("```") {
            in_block = !in_block && line.trim() == "```console";
            continues = false;
        } else if in_tour && in_block {
            if continues {
                if let Some(command) = commands.last_mut() {
                    command.push('\n');
                    command.push_str(line.strip_prefix("> ").unwrap_or(line));
                }
            } else if let Some(command) = line.strip_prefix("$ ") {
                commands.push(command.to_owned());
            } else {
                continue;
            }
            continues = line.ends_with('\\');
        }
    }
    // The network runs already, and the tests are not run from within themselves.
    commands.retain(|command| !command.starts_with("scripts/"));
    commands
}

/// A bash script that shows and runs the commands, and adds a line to the file `progress` after each
/// that succeeded; the first failure ends it.
pub(crate) fn script(commands: &[String], progress: &str) -> String {
    // A failure inside a pipe counts. `head` reads to the end here: where it leaves early the command
    // before it fails for want of a reader.
    // What the commands start in the background ends with the script.
    let mut script = String::from(
        "set -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n\
         head() { sed -n \"1,$2p\"; }\nfailed() { exit \"$1\"; }\n",
    );
    for command in commands {
        let shown = command.replace('\'', r"'\''");
        // Not `set -e`, which ignores what `!` says.
        script.push_str(&format!(
            "printf '%s\\n' '$ {shown}'\n{command}\nstatus=$?; [ $status -eq 0 ] || failed $status\n\
             echo ok >>'{progress}'\n"
        ));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "\
# Grid

```console
$ not this
```

## Tour

Text.

```console
$ scripts/devnet
$ grid status   # a comment
output
$ grid prove \\
>   --wait 2m
more output
```

```toml
$ nor this
```

## Next
```console
$ nor that
```
";

    #[test]
    fn only_the_tours_commands_are_taken() {
        assert_eq!(commands(README), ["grid status   # a comment", "grid prove \\\n  --wait 2m"]);
    }

    fn walk(commands: &[&str]) -> (bool, String, String) {
        let folder = tempfile::tempdir().expect("folder");
        let progress = folder.path().join("progress");
        let commands: Vec<String> = commands.iter().map(|c| (*c).to_owned()).collect();
        let script = script(&commands, &progress.display().to_string());
        let output =
            std::process::Command::new("bash").args(["-c", &script]).output().expect("bash");
        let done = std::fs::read_to_string(progress).unwrap_or_default();
        (output.status.success(), done, String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[test]
    fn the_script_stops_at_the_first_failure() {
        let (success, done, output) =
            walk(&["true", "X='a b'", "test \"$X\" = 'a b'", "false | cat", "true"]);
        assert!(!success);
        assert_eq!(done, "ok\nok\nok\n");
        assert!(output.contains("$ X='a b'"));
    }

    #[test]
    fn what_runs_in_the_background_ends_with_the_script() {
        let started = std::time::Instant::now();
        let (success, done, _) = walk(&["sleep 600 & echo $!", "false"]);
        assert!(!success);
        assert_eq!(done, "ok\n");
        // The output's pipe is open as long as the process in the background lives.
        assert!(started.elapsed() < std::time::Duration::from_secs(60));
    }

    #[test]
    fn what_must_fail_must_fail() {
        assert!(walk(&["! false"]).0);
        assert!(!walk(&["! true"]).0);
    }

    #[test]
    fn the_first_lines_of_a_long_output_are_no_failure() {
        let (success, _, output) = walk(&["seq 1 100000 | head -n 2"]);
        assert!(success);
        assert!(output.ends_with("1\n2\n"));
    }
}
