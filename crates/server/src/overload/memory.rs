//! How much memory the process has, and what that means.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// How often it is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// Percent of the ceiling from which memory is short, and below which it no longer is.
const SOFT: (u64, u64) = (75, 70);
/// Percent of the ceiling from which there is none left to give, and below which there is.
const HARD: (u64, u64) = (90, 85);

/// How short memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// It is not.
    Calm,
    /// What is kept only to be faster is dropped, and no new stream is opened.
    Soft,
    /// No new call is begun.
    Hard,
}

impl Stage {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::Calm,
            1 => Self::Soft,
            _ => Self::Hard,
        }
    }

    /// The word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

/// The stage that follows on `before` where so many bytes of `ceiling` are in use. A stage is left a little
/// below where it is entered, so that it does not change with every call.
pub(crate) fn decide(before: Stage, resident: u64, ceiling: u64) -> Stage {
    let percent = u128::from(resident) * 100;
    let reaches = |mark: u64| percent >= u128::from(ceiling) * u128::from(mark);
    let hard = reaches(if before == Stage::Hard { HARD.1 } else { HARD.0 });
    let soft = reaches(if before >= Stage::Soft { SOFT.1 } else { SOFT.0 });
    match (hard, soft) {
        (true, _) => Stage::Hard,
        (false, true) => Stage::Soft,
        (false, false) => Stage::Calm,
    }
}

/// Where the figures come from.
pub(crate) trait Memory: Send {
    /// Bytes that the process holds in memory. `None`: nobody knows.
    fn resident(&mut self) -> Option<u64>;

    /// Bytes that it may have, where something outside says so.
    fn ceiling(&mut self) -> Option<u64>;
}

/// The figures of Linux; of other systems there are none.
pub(crate) struct System {
    groups: Vec<PathBuf>,
}

impl System {
    pub fn new() -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self { groups: groups(&own, Path::new("/sys/fs/cgroup")) }
    }
}

impl Memory for System {
    fn resident(&mut self) -> Option<u64> {
        resident(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn ceiling(&mut self) -> Option<u64> {
        let limit =
            |group: &PathBuf| std::fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok();
        // The narrowest counts. A group without a limit says "max".
        self.groups.iter().filter_map(limit).min()
    }
}

/// `VmRSS` of `/proc/self/status` (proc_pid_status(5)), in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The control groups of version 2 that a process is in, the innermost first.
fn groups(own: &str, root: &Path) -> Vec<PathBuf> {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::")) else { return Vec::new() };
    let inner = root.join(path.trim_start_matches('/'));
    inner.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_path_buf).collect()
}

/// What was seen last.
#[derive(Debug, Default)]
pub(crate) struct MemoryWatch {
    stage: AtomicU8,
    resident: AtomicU64,
    ceiling: AtomicU64,
}

impl MemoryWatch {
    /// How short memory is.
    pub fn stage(&self) -> Stage {
        Stage::of(self.stage.load(Ordering::Relaxed))
    }

    /// Bytes in use, and those that may be; zero where nobody knows.
    pub fn figures(&self) -> (u64, u64) {
        (self.resident.load(Ordering::Relaxed), self.ceiling.load(Ordering::Relaxed))
    }

    /// Looks, and gives the stage before and now. `configured`: what the operator allows.
    pub fn look(&self, memory: &mut dyn Memory, configured: Option<u64>) -> (Stage, Stage) {
        let before = self.stage();
        let resident = memory.resident();
        let ceiling = configured.or_else(|| memory.ceiling());
        let now = match (resident, ceiling) {
            (Some(resident), Some(ceiling)) => decide(before, resident, ceiling),
            _ => Stage::Calm,
        };
        self.resident.store(resident.unwrap_or(0), Ordering::Relaxed);
        self.ceiling.store(ceiling.unwrap_or(0), Ordering::Relaxed);
        self.stage.store(now as u8, Ordering::Relaxed);
        (before, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_entered_at_its_mark_and_left_below_it() {
        use Stage::{Calm, Hard, Soft};
        for (before, percent, after) in [
            (Calm, 74, Calm),
            (Calm, 75, Soft),
            (Calm, 90, Hard),
            (Soft, 74, Soft),
            (Soft, 70, Soft),
            (Soft, 69, Calm),
            (Soft, 89, Soft),
            (Soft, 90, Hard),
            (Hard, 89, Hard),
            (Hard, 85, Hard),
            (Hard, 84, Soft),
            (Hard, 69, Calm),
        ] {
            assert_eq!(decide(before, percent * 10, 1_000), after, "{before:?} at {percent} %");
        }
        assert_eq!(decide(Calm, u64::MAX, u64::MAX), Hard, "nothing overflows");
        assert_eq!(decide(Calm, 1, 0), Hard);
    }

    struct Said(Option<u64>, Option<u64>);

    impl Memory for Said {
        fn resident(&mut self) -> Option<u64> {
            self.0
        }

        fn ceiling(&mut self) -> Option<u64> {
            self.1
        }
    }

    #[test]
    fn the_operators_ceiling_counts_before_that_of_the_system_and_without_any_nothing_is_short() {
        let watch = MemoryWatch::default();
        assert_eq!(watch.look(&mut Said(Some(80), Some(100)), None), (Stage::Calm, Stage::Soft));
        assert_eq!(watch.figures(), (80, 100));
        assert_eq!(watch.look(&mut Said(Some(80), Some(100)), Some(85)), (Stage::Soft, Stage::Hard));
        assert_eq!(watch.look(&mut Said(Some(80), Some(100)), Some(1_000)), (Stage::Hard, Stage::Calm));
        assert_eq!(watch.look(&mut Said(Some(80), None), None), (Stage::Calm, Stage::Calm));
        assert_eq!(watch.look(&mut Said(None, Some(1)), Some(1)), (Stage::Calm, Stage::Calm));
    }

    #[test]
    fn the_figures_are_read_as_linux_writes_them() {
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t   20480 kB\nRssAnon: 1 kB\n"), Some(20_480 * 1024));
        for odd in ["", "VmRSS: 1", "VmRSS: x kB", "VmRSS: 99999999999999999999 kB"] {
            assert_eq!(resident(odd), None, "{odd}");
        }
        let root = Path::new("/sys/fs/cgroup");
        let found = groups("1:name=systemd:/x\n0::/a.slice/b.service\n", root);
        assert_eq!(
            found,
            ["/sys/fs/cgroup/a.slice/b.service", "/sys/fs/cgroup/a.slice", "/sys/fs/cgroup"]
                .map(PathBuf::from)
        );
        assert_eq!(groups("0::/\n", root), [root.to_path_buf()]);
        assert_eq!(groups("2:memory:/x\n", root), Vec::<PathBuf>::new());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory() {
        assert!(System::new().resident().is_some_and(|bytes| bytes > 1024 * 1024));
    }
}
