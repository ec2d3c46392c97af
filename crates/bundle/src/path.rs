//! Paths that mean the same everywhere, and lead nowhere else.

use std::fmt;

/// The longest path of a file in a bundle: what the archive's name field holds besides `files/`.
pub const PATH_BYTES_MAX: usize = 94;

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// It has no characters, or a part of it has none.
    Empty,
    /// It begins elsewhere or leads out.
    Outside,
    /// It has characters that not every system has in names, or that a terminal would obey.
    Characters,
    /// It is too long.
    Long,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a part of it is empty"),
            Self::Outside => f.write_str("it leads out of the folder"),
            Self::Characters => {
                f.write_str("it has characters other than letters, digits, \"-_.+@\" and blanks")
            }
            Self::Long => write!(f, "it has more than {PATH_BYTES_MAX} bytes"),
        }
    }
}

/// What is wrong with the path of a file in a bundle; `None`: nothing.
#[must_use]
pub fn path_fault(path: &str) -> Option<PathFault> {
    if path.len() > PATH_BYTES_MAX {
        return Some(PathFault::Long);
    }
    for part in path.split('/') {
        match part {
            "" => return Some(if path.starts_with('/') { PathFault::Outside } else { PathFault::Empty }),
            "." | ".." => return Some(PathFault::Outside),
            _ if part.starts_with(' ') || part.ends_with([' ', '.']) => return Some(PathFault::Characters),
            _ => {}
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+@ /".contains(c);
    (!path.chars().all(plain)).then_some(PathFault::Characters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_its_folder_on_every_system() {
        for path in ["tidegate.yaml", "policies/team one.cedar", "a/b/c-d_e.f+g@h", "..a", "a..b"] {
            assert_eq!(path_fault(path), None, "{path}");
        }
        for (path, fault) in [
            ("", PathFault::Empty),
            ("a//b", PathFault::Empty),
            ("a/", PathFault::Empty),
            ("/etc/passwd", PathFault::Outside),
            ("../a", PathFault::Outside),
            ("a/../../b", PathFault::Outside),
            ("a/./b", PathFault::Outside),
            ("a\\..\\b", PathFault::Characters),
            ("C:a", PathFault::Characters),
            ("a\0", PathFault::Characters),
            ("a\nb", PathFault::Characters),
            ("a./b", PathFault::Characters),
            (" a", PathFault::Characters),
            ("caf\u{e9}", PathFault::Characters),
        ] {
            assert_eq!(path_fault(path), Some(fault), "{path:?}");
        }
        assert_eq!(path_fault(&"a".repeat(PATH_BYTES_MAX)), None);
        assert_eq!(path_fault(&"a".repeat(PATH_BYTES_MAX + 1)), Some(PathFault::Long));
    }
}
