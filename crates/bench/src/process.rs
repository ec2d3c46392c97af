//! What the kernel says about a process.

use crate::Result;

/// A size from `/proc/PID/status`, in KiB: `VmRSS` is what is resident, `VmHWM` the most that ever was.
pub fn memory_kib(pid: u32, field: &str) -> Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| format!("process {pid}: {e}"))?;
    find(&status, field).ok_or_else(|| format!("process {pid} has no {field}"))
}

fn find(status: &str, field: &str) -> Option<u64> {
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let value = lines.filter(|(name, _)| *name == field).map(|(_, value)| value).next()?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Makes the most that ever was resident what is resident now (proc(5), `clear_refs`).
pub fn forget_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").map_err(|e| format!("process {pid}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_found_by_its_whole_name() {
        let status = "Name:\tx\nVmHWM:\t    1024 kB\nVmRSS:\t     512 kB\nThreads:\t3\n";
        assert_eq!(find(status, "VmRSS"), Some(512));
        assert_eq!(find(status, "VmHWM"), Some(1024));
        assert_eq!(find(status, "Vm"), None);
        assert_eq!(find(status, "Threads"), None);
    }

    #[test]
    fn the_peak_of_this_process_falls_once_it_is_forgotten() {
        let pid = std::process::id();
        let block = vec![1_u8; 64 << 20];
        assert!(block.iter().step_by(4096).all(|b| *b == 1));
        drop(block);
        let before = memory_kib(pid, "VmHWM").unwrap();
        forget_peak(pid).unwrap();
        let after = memory_kib(pid, "VmHWM").unwrap();
        assert!(after + (32 << 10) < before, "{before} KiB, then {after} KiB");
    }
}
