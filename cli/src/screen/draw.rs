//! Drawing: the same model on the same area is always the same screen.

use alloy_primitives::{U256, utils::format_ether};
use grid_core::api::BlockRef;
use grid_relayer::{
    ChainStatus, Problem, Severity, Status,
    status::SourceStatus,
    store::{ChainState, Stage},
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span, Text},
    widgets::{Paragraph, Row, Table, Widget as _},
};

use super::{
    guarantee::Guarantee,
    model::{Model, Page},
};
use crate::output::short;

/// Problems that the overview shows at most, beside the one that says how many more there are.
const MOST_PROBLEMS: usize = 6;

/// Shows the model on an area of any size.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let paint = Paint { colours: model.colours };
    let head = head(model, &paint);
    let areas = Layout::vertical([
        Constraint::Length(u16::try_from(head.len()).unwrap_or(u16::MAX)),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [top, middle, bottom] = areas.areas(area);
    Paragraph::new(head).render(top, buffer);
    match (&model.status, model.page) {
        (None, _) => {}
        (Some(status), Page::Overview) => overview(model, status, &paint, middle, buffer),
        (Some(_), Page::Chain) => page(chain(model, &paint), model.scroll, middle, buffer),
        (Some(status), Page::Problems) => {
            page(problems(&status.problems, &paint), model.scroll, middle, buffer);
        }
    }
    let keys = match model.page {
        Page::Overview => " q quit   ↑↓ choose   enter chain   p problems and fixes",
        Page::Chain => " q quit   ↑↓ scroll   tab next chain   esc back   p problems and fixes",
        Page::Problems => " q quit   ↑↓ scroll   esc back",
    };
    Line::styled(keys, paint.dim()).render(bottom, buffer);
}

/// Styles, with colours or without.
struct Paint {
    colours: bool,
}

impl Paint {
    fn colour(&self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn dim(&self) -> Style {
        self.colour(Color::DarkGray)
    }

    const fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    const fn chosen(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Error => self.colour(Color::Red).add_modifier(Modifier::BOLD),
            Severity::Warning => self.colour(Color::Yellow),
            Severity::Notice => self.colour(Color::Cyan),
        }
    }

    fn state(&self, state: ChainState) -> Style {
        match state {
            ChainState::Active => self.colour(Color::Green),
            ChainState::Halted => self.severity(Severity::Error),
            ChainState::Paused => self.severity(Severity::Notice),
            _ => self.severity(Severity::Warning),
        }
    }

    fn title(&self, text: String) -> Line<'static> {
        Line::styled(text, self.bold())
    }
}

/// A length of time that fits into five characters.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        172_800..864_000_000 => format!("{}d", seconds / 86_400),
        _ => "long".into(),
    }
}

/// A text that fits into so many characters.
fn fit(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn height(at: Option<BlockRef>) -> String {
    at.map_or_else(|| "-".into(), |at| at.height.to_string())
}

/// Whole units with two digits behind the point.
fn coins(amount: U256) -> String {
    let text = format_ether(amount);
    match text.split_once('.') {
        Some((whole, rest)) => format!("{whole}.{}", fit_digits(rest)),
        None => text,
    }
}

fn fit_digits(rest: &str) -> &str {
    rest.get(..2).unwrap_or(rest)
}

/// The daemon, the main chain, the wallet.
fn head(model: &Model, paint: &Paint) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(away) = &model.away {
        let gone = age(model.now.saturating_sub(away.since) / 1_000);
        let text = format!(" NO ANSWER from {} for {gone}: {}", model.address, away.error);
        lines.push(Line::styled(text, paint.severity(Severity::Error)));
    }
    let Some(status) = &model.status else {
        if model.away.is_none() {
            lines.push(Line::raw(format!(" asking {} …", model.address)));
        }
        return lines;
    };
    let ready = if status.dry_run {
        Span::styled("DRY RUN", paint.severity(Severity::Notice))
    } else if status.ready {
        Span::styled("ready", paint.colour(Color::Green))
    } else {
        Span::styled("NOT READY", paint.severity(Severity::Error))
    };
    let up = age(status.now.saturating_sub(status.started_at) / 1_000);
    let old = match &model.away {
        Some(_) => format!("   as of {} ago", age(model.now.saturating_sub(status.now) / 1_000)),
        None => String::new(),
    };
    lines.push(Line::from(vec![
        Span::styled(format!(" grid {}  ", status.version), paint.bold()),
        ready,
        Span::raw(format!("   up {up}{old}   relayer {}", status.name)),
    ]));
    lines.push(main_chain(status, paint));
    lines.push(wallet(status, paint));
    lines.push(Line::raw(format!(" guarantee   {}", guarantee(model.guarantee))));
    lines
}

fn main_chain(status: &Status, paint: &Paint) -> Line<'static> {
    let main = &status.main;
    let seen = if main.seen_at == 0 {
        "not seen yet".into()
    } else {
        format!(
            "block {}, {} old, seen {} ago",
            main.height,
            age(status.now.saturating_sub(main.time_ms) / 1_000),
            age(status.now.saturating_sub(main.seen_at) / 1_000),
        )
    };
    let mut spans = vec![Span::raw(format!(" main chain  eip155:{}  {seen}", main.chain_id))];
    if !main.nodes.is_empty() {
        spans.push(Span::raw(format!("  nodes {}", working(&main.nodes))));
    }
    if let Some(error) = &main.error {
        spans.push(Span::styled(format!("  {error}"), paint.severity(Severity::Error)));
    }
    Line::from(spans)
}

fn wallet(status: &Status, paint: &Paint) -> Line<'static> {
    let wallet = &status.wallet;
    let text = format!(
        " wallet      {}  {} GRID  nonce {}  open {}",
        short(&wallet.address.to_string()),
        coins(wallet.balance),
        wallet.nonce,
        wallet.live,
    );
    let mut spans = vec![Span::raw(text)];
    if wallet.gap > 0 {
        let text = format!("  gap {}", wallet.gap);
        spans.push(Span::styled(text, paint.severity(Severity::Warning)));
    }
    Line::from(spans)
}

fn guarantee(of: Guarantee) -> String {
    match of {
        Guarantee::Unknown => "-".into(),
        Guarantee::None => "none on this main chain".into(),
        Guarantee::Pool { free, locked, cover } => {
            format!("free {} GRID  locked {}  covers {}", coins(free), coins(locked), coins(cover))
        }
    }
}

/// Problems, chains, tasks.
fn overview(model: &Model, status: &Status, paint: &Paint, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.height / 3).clamp(1, MOST_PROBLEMS);
    let (shown, width) = (status.problems.len().min(room), usize::from(area.width));
    let mut lines = vec![Line::raw("")];
    if status.problems.is_empty() {
        lines.push(paint.title(" NO PROBLEMS".into()));
    } else {
        lines.push(paint.title(format!(" PROBLEMS {}", status.problems.len())));
        let line = |problem: &Problem| {
            let text = format!(" {} {problem}", mark(problem.severity));
            Line::styled(fit(&text, width), paint.severity(problem.severity))
        };
        lines.extend(status.problems.iter().take(shown).map(line));
        if shown < status.problems.len() {
            let more = status.problems.len().saturating_sub(shown);
            lines.push(Line::styled(format!("   {more} more: press p"), paint.dim()));
        }
    }
    lines.push(Line::raw(""));
    let tasks = tasks(status, paint);
    let areas = Layout::vertical([
        Constraint::Length(u16::try_from(lines.len()).unwrap_or(u16::MAX)),
        Constraint::Min(0),
        Constraint::Length(1),
    ]);
    let [top, middle, bottom] = areas.areas(area);
    Paragraph::new(lines).render(top, buffer);
    chains(model, paint, middle, buffer);
    tasks.render(bottom, buffer);
}

const fn mark(severity: Severity) -> char {
    match severity {
        Severity::Error => '!',
        Severity::Warning => '~',
        Severity::Notice => '·',
    }
}

fn tasks(status: &Status, paint: &Paint) -> Line<'static> {
    let mut spans = vec![Span::raw(" tasks")];
    for task in &status.tasks {
        let text = format!("  {} {}", task.name, age(task.progress_age_seconds));
        let slow = task.progress_age_seconds > 120 && task.name != "prune";
        let style = if slow || task.restarts > 0 {
            paint.severity(Severity::Warning)
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, style));
        if task.restarts > 0 {
            spans.push(Span::styled(format!(" (restarted {})", task.restarts), style));
        }
    }
    Line::from(spans)
}

/// One line for each chain, those around the chosen one where there is no room for all.
fn chains(model: &Model, paint: &Paint, area: Rect, buffer: &mut Buffer) {
    const HEAD: [&str; 10] = [
        " CHAIN",
        "L",
        "STATE",
        "SOURCE",
        "TRACKED",
        "CONFIRMED",
        "LAG",
        "OLDEST",
        "ENDS",
        "P/S/I/!",
    ];
    let widths = [
        Constraint::Min(8),
        Constraint::Length(2),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(5),
        Constraint::Length(6),
        Constraint::Length(4),
        Constraint::Length(9),
    ];
    let room = usize::from(area.height).saturating_sub(1);
    let first = (model.chosen + 1).saturating_sub(room);
    // The other columns and the spaces between them.
    let name = usize::from(area.width).saturating_sub(69).max(8);
    let rows = model.chains().iter().enumerate().skip(first).take(room).map(|(n, chain)| {
        let style = if n == model.chosen { paint.chosen() } else { paint.state(chain.state) };
        Row::new(columns(chain, name)).style(style)
    });
    let table =
        Table::new(rows, widths).header(Row::new(HEAD).style(paint.bold())).column_spacing(1);
    table.render(area, buffer);
}

fn columns(chain: &ChainStatus, name: usize) -> [String; 10] {
    let count = |stage: Stage| chain.items.get(&stage).copied().unwrap_or(0);
    let stages = [Stage::Planned, Stage::Sent, Stage::Included, Stage::Parked];
    [
        format!(" {}", fit(chain.id.as_str(), name.saturating_sub(1))),
        chain.level.map_or_else(|| "-".into(), |level| level.to_string()),
        chain.state.to_string(),
        height(chain.source),
        height(chain.tracked),
        height(chain.confirmed),
        age(chain.lag_seconds),
        age(chain.oldest_age_seconds),
        working(&chain.sources),
        stages.map(|stage| count(stage).to_string()).join("/"),
    ]
}

/// How many of several endpoints work.
fn working(endpoints: &[SourceStatus]) -> String {
    let good = endpoints.iter().filter(|one| one.healthy).count();
    if endpoints.is_empty() { "-".into() } else { format!("{good}/{}", endpoints.len()) }
}

/// A long text, folded and moved up by some lines.
fn page(lines: Vec<Line<'static>>, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width).max(4 * INDENT.len());
    let lines: Vec<_> = lines.into_iter().flat_map(|line| fold(&line, width)).collect();
    let most = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(1);
    Paragraph::new(Text::from(lines)).scroll((scroll.min(most), 0)).render(area, buffer);
}

/// What the rest of a folded line begins with.
const INDENT: &str = "     ";

/// A line of so many characters at most, and its rest in lines below it. The widget's own folding panics on a
/// run of blanks that is longer than a line, and what endpoints say may have one.
pub(super) fn fold(line: &Line<'_>, width: usize) -> Vec<Line<'static>> {
    let (mut rest, style) = (line.to_string(), line.style);
    let mut folded = Vec::new();
    while let Some((cut, _)) = rest.char_indices().nth(width) {
        // Between two words, where one ends in the second half.
        let late =
            |at: &usize| rest.chars().take(width / 2).map(char::len_utf8).sum::<usize>() < *at;
        let blank = rest.get(..cut).and_then(|text| text.rfind(' ')).filter(late);
        let below = rest.split_off(blank.map_or(cut, |at| at + 1));
        folded.push(Line::styled(rest, style));
        rest = format!("{INDENT}{below}");
    }
    folded.push(Line::styled(rest, style));
    folded
}

/// Every problem with its fix.
fn problems(list: &[Problem], paint: &Paint) -> Vec<Line<'static>> {
    let mut lines = vec![Line::raw("")];
    if list.is_empty() {
        lines.push(paint.title(" NO PROBLEMS".into()));
    }
    for problem in list {
        let text = format!(" {} {problem}", mark(problem.severity));
        lines.push(Line::styled(text, paint.severity(problem.severity)));
        lines.push(Line::raw(format!("   fix      {}", problem.fix)));
        lines.push(Line::styled(
            format!("   runbook  docs/runbooks/{}.md", problem.runbook),
            paint.dim(),
        ));
        lines.push(Line::raw(""));
    }
    lines
}

/// Everything about the chosen chain.
fn chain(model: &Model, paint: &Paint) -> Vec<Line<'static>> {
    let Some(chain) = model.chain() else {
        return vec![Line::raw(""), Line::raw(" no chain is followed")];
    };
    let mut lines = vec![Line::raw(""), paint.title(format!(" {}", chain.id))];
    let mut say = |name: &str, text: String| {
        lines.push(Line::raw(format!("   {name:<12} {text}")));
    };
    let level = chain.level.map_or_else(|| "-".into(), |level| level.to_string());
    let security = chain.security.map_or_else(|| "-".into(), |security| security.to_string());
    let main = chain.main_status.as_deref().unwrap_or("not registered");
    say("state", format!("{}   level {level}   {security}   main chain: {main}", chain.state));
    if let Some(reason) = &chain.reason {
        say("reason", reason.clone());
    }
    if let Some(pause) = &chain.paused {
        let since = age(model.now.saturating_sub(pause.since) / 1_000);
        say("paused", format!("by {} {since} ago; grid relayer resume {}", pause.by, chain.id));
    }
    if let Some(holder) = &chain.holder {
        let whose = if holder.here { "this relayer" } else { "another relayer" };
        say("held by", format!("{whose}, {holder}"));
    }
    if chain.next_at > model.now {
        say("next look", format!("in {}", age(chain.next_at.saturating_sub(model.now) / 1_000)));
    }
    let heights =
        [("source", chain.source), ("tracked", chain.tracked), ("confirmed", chain.confirmed)];
    for (name, at) in heights {
        let text = at.map_or_else(|| "-".into(), |at| format!("{} {}", at.height, at.hash));
        say(name, text);
    }
    say("lag", format!("{} blocks, {}", chain.lag_blocks, age(chain.lag_seconds)));
    for (stage, count) in &chain.items {
        let oldest = chain.ages.get(stage).copied().unwrap_or(0);
        say(stage.as_str(), format!("{count} item(s), oldest {}", age(oldest)));
    }
    say(
        "reorgs",
        format!("{} since the start, last {} deep", chain.reorgs, chain.last_reorg_depth),
    );
    if let Some(sync) = &chain.sync {
        let next = if sync.next_committee_known { "known" } else { "unknown" };
        let slot = sync.finalized_slot;
        say("finality", format!("slot {slot}, period {}, next committee {next}", sync.period));
    }
    if let Some(signed) = &chain.attestation {
        let (have, need) = (signed.signed.len(), signed.threshold);
        say("signatures", format!("{have} of {need} for block {}", signed.block.height));
    }
    if let Some(differ) = &chain.disagreement {
        let held = if differ.held { ", held there" } else { "" };
        let branches = differ.votes.len();
        say("disagree", format!("{branches} branches from height {}{held}", differ.height));
    } else if let Some(last) = &chain.last_disagreement {
        let ended = last.ended_at.unwrap_or(last.began_at);
        let ago = age(model.now.saturating_sub(ended) / 1_000);
        say("disagreed", format!("from height {} on, until {ago} ago", last.what.height));
    }
    for warning in &chain.warnings {
        say("warning", warning.clone());
    }
    lines.push(Line::raw(""));
    lines.extend(endpoints(chain, paint));
    lines
}

fn endpoints(chain: &ChainStatus, paint: &Paint) -> Vec<Line<'static>> {
    if chain.sources.is_empty() {
        return vec![Line::styled(" its single source tells no details", paint.dim())];
    }
    let mut lines = vec![paint.title(format!(" ENDPOINTS {}", chain.sources.len()))];
    for source in &chain.sources {
        let (word, style) = match (source.healthy, source.lag_blocks) {
            (true, 0..=2) => ("good", paint.colour(Color::Green)),
            (true, _) => ("behind", paint.severity(Severity::Warning)),
            (false, _) => ("FAILS", paint.severity(Severity::Error)),
        };
        let at = source.height.map_or_else(|| "-".into(), |height| height.to_string());
        let text = format!(
            "   {:<24} {:<8} {word:<7} height {at}  lag {}  failures {}{}",
            source.name,
            source.kind,
            source.lag_blocks,
            source.failures,
            match source.breaker.as_deref() {
                None | Some("closed") => String::new(),
                Some(state) => format!("  breaker {state}"),
            }
        );
        lines.push(Line::styled(text, style));
        if let Some(error) = &source.error {
            lines.push(Line::raw(format!("     {error}")));
        }
    }
    lines
}
