//! Children in a sandbox, by bubblewrap: a list of words before the program's own, never a shell.
//!
//! What is not named is not there: no home folder, no other user's files, no secrets of the system, no
//! processes of others, and no network unless it is wanted. The program cannot get rights that it did not
//! have, and ends with the gateway.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::EgressError;

/// The program that makes sandboxes.
const BWRAP: &str = "bwrap";

/// The home folder inside.
const HOME: &str = "/home/sandbox";

/// Programs and libraries. Some systems have links to `/usr` here, and some folders.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/// What programs look up, without what only some may read: keys, passwords, who may do what.
const ETC: [&str; 22] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pip.conf",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];

/// What a child in a sandbox sees and reaches, besides the system's programs and libraries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Files and folders that it may read, by the same paths as outside. All must be there.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and change. All must be there.
    pub write: Vec<PathBuf>,
    /// A folder that is its home folder and stays. It is made where it is not there; by default the home
    /// folder is empty and gone with the child.
    pub home: Option<PathBuf>,
    /// Whether it may use the network, this machine's own addresses included.
    pub network: bool,
}

impl Sandbox {
    /// Whether sandboxes can be had here: the program that makes them is in this process's `PATH`.
    #[must_use]
    pub fn is_available() -> bool {
        find(std::env::var_os("PATH").as_deref()).is_some()
    }

    /// The command that starts another one in the sandbox: the words before the other one's.
    pub(super) fn words(
        &self,
        cwd: Option<&Path>,
        env: &[(String, String)],
    ) -> Result<Vec<OsString>, EgressError> {
        let Some(bwrap) = find(std::env::var_os("PATH").as_deref()) else {
            let reason = "bubblewrap (bwrap) is not in PATH, and without it nothing is started: install it, \
                          or take the sandbox out";
            return Err(EgressError::Options { option: "sandbox", reason: reason.to_owned() });
        };
        let failed = |what: &str, path: &Path, error: std::io::Error| EgressError::Options {
            option: "sandbox",
            reason: format!("{what} {}: {error}", path.display()),
        };
        // What a path begins at outside is not there inside.
        let whole = |path: &Path| std::path::absolute(path).map_err(|error| failed("find", path, error));
        let all = |paths: &[PathBuf]| paths.iter().map(|path| whole(path)).collect::<Result<Vec<_>, _>>();
        let home = self.home.as_deref().map(whole).transpose()?;
        if let Some(home) = &home {
            make(home).map_err(|error| failed("make the home folder", home, error))?;
        }
        let there = Self { read: all(&self.read)?, write: all(&self.write)?, home, network: self.network };
        let cwd = cwd.map(whole).transpose()?;
        Ok(there.argv(&bwrap, cwd.as_deref(), env))
    }

    fn argv(&self, bwrap: &Path, cwd: Option<&Path>, env: &[(String, String)]) -> Vec<OsString> {
        let mut words = Words(vec![bwrap.into()]);
        // A session of its own has no terminal in which it could type.
        for flag in ["--die-with-parent", "--new-session", "--unshare-all"] {
            words.add([flag]);
        }
        if self.network {
            words.add(["--share-net"]);
        }
        words.add(["--cap-drop", "ALL"]);
        for path in SYSTEM.iter().chain(&ETC) {
            words.add(["--ro-bind-try", path, path]);
        }
        words.add(["--proc", "/proc"]);
        words.add(["--dev", "/dev"]);
        words.add(["--tmpfs", "/tmp"]);
        match &self.home {
            Some(home) => words.add([OsStr::new("--bind"), home.as_os_str(), OsStr::new(HOME)]),
            None => words.add(["--tmpfs", HOME]),
        }
        let mut paths: Vec<(&str, &PathBuf)> = self.read.iter().map(|path| ("--ro-bind", path)).collect();
        paths.extend(self.write.iter().map(|path| ("--bind", path)));
        // What is inside of something else comes after it, or it would be hidden.
        paths.sort_by_key(|(_, path)| path.components().count());
        for (how, path) in paths {
            words.add([OsStr::new(how), path.as_os_str(), path.as_os_str()]);
        }
        for (name, inside) in [("HOME", HOME), ("TMPDIR", "/tmp")] {
            // Whoever gives it himself knows better.
            if !env.iter().any(|(own, _)| own == name) {
                words.add(["--setenv", name, inside]);
            }
        }
        words.add([OsStr::new("--chdir"), cwd.map_or(OsStr::new(HOME), Path::as_os_str)]);
        words.add(["--"]);
        words.0
    }
}

struct Words(Vec<OsString>);

impl Words {
    fn add<const N: usize, W: AsRef<OsStr>>(&mut self, words: [W; N]) {
        self.0.extend(words.iter().map(|word| word.as_ref().to_owned()));
    }
}

/// The program in a `PATH`, by its whole path: a child's own `PATH` does not decide what makes its sandbox.
fn find(path: Option<&OsStr>) -> Option<PathBuf> {
    let folders = std::env::split_paths(path?);
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(BWRAP))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Makes a folder that its owner alone may read, where it is not there.
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(sandbox: &Sandbox, cwd: Option<&str>, env: &[(&str, &str)]) -> Vec<String> {
        let env: Vec<_> = env.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let words = sandbox.argv(Path::new("/usr/bin/bwrap"), cwd.map(Path::new), &env);
        words.into_iter().map(|word| word.into_string().expect("text")).collect()
    }

    fn has(argv: &[String], words: &str) -> Option<usize> {
        let words: Vec<&str> = words.split(' ').collect();
        argv.windows(words.len()).position(|window| window == words)
    }

    #[test]
    fn what_is_not_named_is_not_there() {
        let all = argv(&Sandbox::default(), None, &[]);
        assert_eq!(all[..2], ["/usr/bin/bwrap", "--die-with-parent"]);
        for words in [
            "--new-session --unshare-all --cap-drop ALL",
            "--tmpfs /home/sandbox",
            "--setenv HOME /home/sandbox",
            "--setenv TMPDIR /tmp",
            "--chdir /home/sandbox --",
        ] {
            assert!(has(&all, words).is_some(), "{words}: {all:?}");
        }
        assert!(!all.contains(&"--share-net".to_owned()) && !all.contains(&"--bind".to_owned()), "{all:?}");
        assert!(!all.iter().any(|word| ["/", "/etc", "/root", "/home", "/etc/shadow"].contains(&&**word)));
        assert_eq!(all.last().map(String::as_str), Some("--"));
    }

    #[test]
    fn what_is_named_is_there_and_what_is_inside_of_it_comes_later() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let sandbox = Sandbox {
            read: paths(&["/srv/data/public", "/opt/app"]),
            write: paths(&["/srv/data"]),
            home: Some("/var/lib/home".into()),
            network: true,
        };
        let all = argv(&sandbox, Some("/srv/data"), &[("HOME", "/srv/data")]);
        let outer = has(&all, "--bind /srv/data /srv/data").expect("it may be changed");
        let inner = has(&all, "--ro-bind /srv/data/public /srv/data/public").expect("and this not");
        assert!(outer < inner, "{all:?}");
        assert!(has(&all, "--share-net").is_some() && has(&all, "--chdir /srv/data --").is_some());
        assert!(has(&all, "--bind /var/lib/home /home/sandbox").is_some(), "{all:?}");
        assert!(has(&all, "--setenv HOME").is_none(), "the operator says where it is: {all:?}");
    }

    #[test]
    fn it_is_found_by_its_whole_path_and_only_if_it_can_be_run() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = std::env::join_paths([Path::new("relative"), folder.path()]).expect("a path");
        assert_eq!(find(Some(&path)), None);
        let file = folder.path().join(BWRAP);
        std::fs::write(&file, "#!/bin/sh\n").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert_eq!(find(Some(&path)), None);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("set");
        assert_eq!((find(Some(&path)), find(None)), (Some(file), None));
    }
}
