//! What serde says about a value, in words that name the fix.

/// Names less alike than this (0 to 1) are not meant by a slip.
const ALIKE: f64 = 0.75;

/// The name in `unknown field …`.
pub(super) fn unknown_field(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// An unknown name gets the one that was probably meant, or else those that there are.
pub(super) fn for_people(message: &str) -> String {
    for (kind, noun) in [("unknown field", "key"), ("unknown variant", "value")] {
        let Some(rest) = message.strip_prefix(kind) else { continue };
        // Names are between backticks: the unknown one first, then those that are expected.
        let mut names = rest.split('`').skip(1).step_by(2);
        let unknown = names.next().unwrap_or_default();
        let known: Vec<&str> = names.collect();
        return match meant(unknown, &known) {
            Some(meant) => format!("unknown {noun} {unknown:?}; did you mean {meant:?}?"),
            None => format!("unknown {noun} {unknown:?}; there are: {}", known.join(", ")),
        };
    }
    message.to_owned()
}

fn meant<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &&'a str| strsim::jaro_winkler(unknown, name);
    let alike = known.iter().copied().filter(|name| likeness(name) >= ALIKE);
    alike.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_gets_the_name_that_was_meant() {
        let said = for_people("unknown field `lisen`, expected one of `rpc`, `listen`, `peers`");
        assert_eq!(said, "unknown key \"lisen\"; did you mean \"listen\"?");
        let said = for_people("unknown variant `bitcon`, expected `bitcoin` or `ethereum`");
        assert_eq!(said, "unknown value \"bitcon\"; did you mean \"bitcoin\"?");
        let said = for_people("unknown field `colour`, expected one of `node`, `log`");
        assert_eq!(said, "unknown key \"colour\"; there are: node, log");
        assert_eq!(for_people("missing field `kind`"), "missing field `kind`");
    }
}
