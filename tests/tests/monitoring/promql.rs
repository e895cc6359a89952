//! Which metrics an expression reads, and by which labels.

use std::collections::BTreeSet;

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Each metric with the labels that its selector asks for.
    pub(crate) metrics: Vec<(String, BTreeSet<String>)>,
    /// Labels of `by`, `on` and `ignoring`.
    pub(crate) grouping: BTreeSet<String>,
}

/// Reads an expression of `PromQL` as far as names go.
pub(crate) fn names(expression: &str) -> Names {
    let mut found = Names::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = after_string(rest);
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            rest = tail.trim_start();
            if matches!(word, "by" | "on" | "ignoring") {
                let (inside, tail) = enclosed(rest, '(', ')');
                found.grouping.extend(inside.split(',').map(|label| label.trim().to_owned()));
                rest = tail;
            } else if is_metric(word) {
                let (inside, tail) = enclosed(rest, '{', '}');
                found.metrics.push((base(word).to_owned(), matchers(inside)));
                rest = tail;
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn is_metric(word: &str) -> bool {
    ["grid_", "process_", "node_"].iter().any(|prefix| word.starts_with(prefix))
        || matches!(word, "up" | "ALERTS")
}

/// A histogram's name without the suffix of its series.
fn base(word: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
}

/// What stands between brackets at the start of a text, and what follows.
fn enclosed(text: &str, open: char, close: char) -> (&str, &str) {
    let Some(inner) = text.strip_prefix(open) else { return ("", text) };
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        if first == close {
            let length = inner.len() - rest.len();
            return (&inner[..length], &rest[close.len_utf8()..]);
        }
        rest = if first == '"' { after_string(rest) } else { &rest[first.len_utf8()..] };
    }
    panic!("no {close} in {text:?}")
}

/// What follows the string at the start of a text.
fn after_string(text: &str) -> &str {
    let inner = &text[1..];
    let end = inner.find('"').unwrap_or_else(|| panic!("no end of the string in {text:?}"));
    &inner[end + 1..]
}

/// Labels of `name="value",other=~"value"`.
fn matchers(mut text: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    while let Some(end) = text.find(['=', '!']) {
        labels.insert(text[..end].trim_matches([' ', ',']).to_owned());
        let Some(value) = text.find('"') else { break };
        text = after_string(&text[value..]);
    }
    labels
}

#[test]
fn names_are_found_with_their_labels() {
    let found = names(
        r#"sum by (instance, le) (rate(grid_a_bucket{chain=~"x{1,2}|grid_b",stage!="sent"}[5m])) / up{job="grid"} > on (chain) grid_c"#,
    );
    let set = |labels: &[&str]| labels.iter().map(|l| (*l).to_owned()).collect::<BTreeSet<_>>();
    let metrics = vec![
        ("grid_a".to_owned(), set(&["chain", "stage"])),
        ("up".to_owned(), set(&["job"])),
        ("grid_c".to_owned(), set(&[])),
    ];
    assert_eq!(found, Names { metrics, grouping: set(&["instance", "le", "chain"]) });
}
