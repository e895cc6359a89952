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
    let mut script = String::from("set -eo pipefail\n");
    for command in commands {
        let shown = command.replace('\'', r"'\''");
        script
            .push_str(&format!("printf '%s\\n' '$ {shown}'\n{command}\necho ok >>'{progress}'\n"));
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

    #[test]
    fn the_script_stops_at_the_first_failure() {
        let folder = tempfile::tempdir().expect("folder");
        let progress = folder.path().join("progress");
        let commands = ["true".to_owned(), "X='a b'; test \"$X\" = 'a b'".into(), "false".into()];
        let script = script(&commands, &progress.display().to_string());
        let output =
            std::process::Command::new("bash").args(["-c", &script]).output().expect("bash");
        assert!(!output.status.success());
        assert_eq!(std::fs::read_to_string(progress).expect("progress"), "ok\nok\n");
        assert!(String::from_utf8_lossy(&output.stdout).contains("$ X='a b'"));
    }
}
