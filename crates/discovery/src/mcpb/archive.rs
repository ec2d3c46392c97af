//! Which entries of an archive are written, and where. Nothing of an archive is unpacked before all of its
//! entries were judged, and one bad entry is a reason to refuse all of it.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

use crate::fault::{By, Fault, shown};
use crate::read::FAULTS_MAX;

/// What an archive may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of all files.
    pub bytes_max: u64,
    /// How much larger than its packed bytes a file may be, beyond the first mebibyte.
    pub ratio_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries_max: 50_000, file_bytes_max: 256 << 20, bytes_max: 1 << 30, ratio_max: 200 }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A link of either kind.
    Link,
    /// A device, a pipe, anything else.
    Other,
}

/// An entry as the archive's directory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its name, as its bytes are.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: HeadKind,
    /// Bytes that it says it has.
    pub size: u64,
    /// Bytes that it takes in the archive.
    pub packed: u64,
    /// Its permissions, where the archive knows them.
    pub mode: Option<u32>,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// A file to be written. Its size is the most that may be written, whatever comes out of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpack {
    /// The number of its entry.
    pub number: usize,
    /// Where, relative to a new and empty folder.
    pub path: String,
    /// How many bytes, and no more.
    pub size: u64,
    /// Whether it may be run.
    pub executable: bool,
}

const MEBIBYTE: u64 = 1 << 20;
const NAME_BYTES_MAX: usize = 1_024;
const PART_BYTES_MAX: usize = 255;
const PARTS_MAX: usize = 40;
/// Names that mean devices where somebody unpacks the same on Windows.
const DEVICES: [&str; 8] = ["con", "prn", "aux", "nul", "com1", "com2", "lpt1", "lpt2"];

/// Says what is written of an archive.
///
/// # Errors
/// All that is wrong with it. Nothing may be written then.
pub fn unpack(heads: &[Head], bounds: &Bounds) -> Result<Vec<Unpack>, Vec<Fault>> {
    let mut faults = Vec::new();
    let refuse = |faults: &mut Vec<Fault>, number: usize, what: String| {
        if faults.len() < FAULTS_MAX {
            faults.push(Fault::refused(By::Publisher, format!("/{number}"), what));
        }
    };
    if heads.len() > bounds.entries_max {
        let what = format!("{} entries, and at most {} are unpacked", heads.len(), bounds.entries_max);
        return Err(vec![Fault::refused(By::Publisher, "", what)]);
    }
    let mut plan = Vec::new();
    // By the name that file systems without cases or with forms of letters know.
    let mut taken: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    let mut total = 0_u64;
    for (number, head) in heads.iter().enumerate() {
        let path = match path_of(head).and_then(|path| judged(head, bounds).map(|()| path)) {
            Ok(path) => path,
            Err(what) => {
                refuse(&mut faults, number, what);
                continue;
            }
        };
        total = total.saturating_add(head.size);
        let folder = head.kind == HeadKind::Folder;
        if let Err(what) = take(&mut taken, number, &path, folder) {
            refuse(&mut faults, number, what);
        }
        if !folder {
            let executable = head.mode.is_some_and(|mode| mode & 0o111 != 0);
            plan.push(Unpack { number, path, size: head.size, executable });
        }
    }
    if total > bounds.bytes_max {
        let what = format!("{total} bytes, and at most {} are unpacked", bounds.bytes_max);
        faults.push(Fault::refused(By::Publisher, "", what));
    }
    if !plan.iter().any(|file| file.path == "manifest.json") {
        faults.push(Fault::refused(By::Publisher, "", "no manifest.json"));
    }
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

fn judged(head: &Head, bounds: &Bounds) -> Result<(), String> {
    match head.kind {
        HeadKind::Link => return Err("a link".to_owned()),
        HeadKind::Other => return Err("neither a file nor a folder".to_owned()),
        HeadKind::Folder if head.size > 0 => return Err("a folder with bytes".to_owned()),
        HeadKind::File | HeadKind::Folder => {}
    }
    if head.encrypted {
        return Err("encrypted".to_owned());
    }
    if head.mode.is_some_and(|mode| mode & 0o7000 != 0) {
        return Err("a file that runs as somebody else".to_owned());
    }
    if head.size > bounds.file_bytes_max {
        return Err(format!("{} bytes, and at most {} are unpacked", head.size, bounds.file_bytes_max));
    }
    if head.size > MEBIBYTE.saturating_add(head.packed.saturating_mul(bounds.ratio_max)) {
        return Err(format!("{} bytes out of {}", head.size, head.packed));
    }
    Ok(())
}

fn path_of(head: &Head) -> Result<String, String> {
    let Ok(name) = std::str::from_utf8(&head.name) else {
        return Err("a name that is not in UTF-8".to_owned());
    };
    let wrong = |what: &str| Err(format!("{what}: {}", shown(name)));
    if name.len() > NAME_BYTES_MAX {
        return wrong("a name that is too long");
    }
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if name.chars().any(hidden) {
        return wrong("a name with characters that nobody sees");
    }
    if name.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return wrong("a name with a character that means something else elsewhere");
    }
    let name = match (name.strip_suffix('/'), head.kind) {
        (Some(name), HeadKind::Folder) => name,
        (Some(_), _) => return wrong("a file whose name is that of a folder"),
        (None, _) => name,
    };
    if name.starts_with('/') {
        return wrong("an absolute name");
    }
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > PARTS_MAX {
        return wrong("too many folders");
    }
    for part in &parts {
        if matches!(*part, "" | "." | "..") {
            return wrong("a way out of the folder");
        }
        if part.len() > PART_BYTES_MAX || part.ends_with(['.', ' ']) || part.starts_with(' ') {
            return wrong("a name that not every file system has");
        }
        let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
        if DEVICES.contains(&stem.as_str()) {
            return wrong("a name of a device");
        }
    }
    Ok(name.to_owned())
}

/// Takes a place, and the folders above it.
fn take(
    taken: &mut BTreeMap<String, (usize, bool)>,
    number: usize,
    path: &str,
    folder: bool,
) -> Result<(), String> {
    let fold = |path: &str| path.nfkc().collect::<String>().to_lowercase().nfkc().collect::<String>();
    let folded = fold(path);
    let mut at = 0;
    while let Some(next) = folded[at..].find('/') {
        let above = &folded[..at + next];
        match taken.get(above) {
            Some((_, false)) => return Err(format!("a file is used as a folder: {}", shown(above))),
            Some((_, true)) => {}
            None => {
                taken.insert(above.to_owned(), (number, true));
            }
        }
        at += next + 1;
    }
    match taken.insert(folded, (number, folder)) {
        None => Ok(()),
        Some((_, true)) if folder => Ok(()),
        Some((first, _)) => Err(format!("the same place as entry {first}: {}", shown(path))),
    }
}
