//! `grid bitcoin verify-headers`.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use eyre::{Result, WrapErr as _};
use grid_adapters::bitcoin::header_file;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{args::VerifyHeadersArgs, output::write_line};

pub(super) fn run(args: &VerifyHeadersArgs) -> Result<ExitCode> {
    let params = super::network(&args.network)?;
    let now = match args.now {
        Some(secs) => Duration::from_secs(secs),
        None => SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .wrap_err("the clock stands before 1970; give --now")?,
    };
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template("{pos}/{len} headers {wide_bar} {per_sec}, {eta}")?);
    let mut progress = |done, total| {
        // A bar that is gone within a second only flickers.
        if bar.elapsed() > Duration::from_secs(1) {
            bar.set_length(total);
            bar.set_position(done);
        }
    };
    let report =
        header_file::verify_files(&params, args.start_height, now_ms, &args.files, &mut progress)?;
    bar.finish_and_clear();
    write_line(&serde_json::to_string_pretty(&report)?)?;
    Ok(if report.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
