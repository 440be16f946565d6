//! What this process has used.

/// Resident memory in KiB.
pub(crate) fn resident() -> f64 {
    field("/proc/self/status", "VmRSS:")
}

/// How often the threads of this process went to sleep by themselves, which is how often they were woken.
pub(crate) fn voluntary_switches() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    tasks
        .flatten()
        .map(|task| field(&format!("{}/status", task.path().display()), "voluntary_ctxt_switches:") as u64)
        .sum()
}

/// Processor time of all threads, in the kernel too. Linux counts it in hundredths of a second.
pub(crate) fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    // The 14th and 15th fields of the line, the third being the first one here.
    fields.get(11).zip(fields.get(12)).map_or(0.0, |(user, system)| (user + system) / 100.0)
}

fn field(file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
