//! Memory of a process, as Linux counts it.

use serde::Serialize;

/// Resident memory.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Memory {
    /// Process id; this process where absent.
    pub(super) pid: Option<u32>,
    /// Now, KiB; absent where the system does not tell.
    pub(super) resident_kib: Option<u64>,
    /// The most so far, KiB.
    pub(super) peak_kib: Option<u64>,
}

/// Asks the system.
pub(super) fn of_process(pid: Option<u32>) -> Memory {
    let name = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let status = std::fs::read_to_string(format!("/proc/{name}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Memory { pid, resident_kib: field("VmRSS:"), peak_kib: field("VmHWM:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_none_has_nothing() {
        let own = of_process(None);
        assert!(own.resident_kib.unwrap() > 1_000 && own.peak_kib >= own.resident_kib);
        assert_eq!(of_process(Some(u32::MAX)).resident_kib, None);
    }
}
