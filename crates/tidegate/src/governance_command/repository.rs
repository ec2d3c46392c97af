//! A Git repository, asked by its own program, never through a shell.

use std::path::{Path, PathBuf};
use std::time::Duration;

use egress::ChildOptions;

use crate::exit::{Coded, FAILURE, REFUSED};

/// What Git may print.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long it may take.
const TIME: Duration = Duration::from_secs(60);
/// Commits of one branch.
const COMMITS_MAX: usize = 1_000;
/// Parts of a commit as Git prints it, each with a NUL behind it, which no text of a commit has.
const PARTS: usize = 6;
const FORMAT: &str = "--format=%H%x00%P%x00%G?%x00%GS%x00%s%x00%(trailers:only=true,unfold=true)";

/// A repository.
pub struct Repository {
    folder: PathBuf,
}

/// A commit of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub hash: String,
    /// Who signed it, by a key of his that is known; `None`: nobody of whom that can be said.
    pub signer: Option<String>,
    /// Its first line.
    pub subject: String,
    /// Its trailers, in order: `Governance-Vote: yes`.
    pub trailers: Vec<(String, String)>,
}

impl Repository {
    /// The one in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    async fn ask(&self, words: &[&str]) -> anyhow::Result<(i32, Vec<u8>, String)> {
        // Whatever the repository's own settings say: no program of theirs runs, and no key but those of the
        // file of signers says who somebody is.
        let fixed = [
            "git",
            "--no-pager",
            "--no-replace-objects",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "gpg.ssh.program=ssh-keygen",
            "-c",
            "gpg.program=false",
            "-c",
            "gpg.openpgp.program=false",
            "-c",
            "gpg.x509.program=false",
            "-c",
            "log.showSignature=false",
        ];
        let argv = fixed.iter().chain(words).map(|&word| word.to_owned()).collect();
        let options = ChildOptions { argv, cwd: Some(self.folder.clone()), ..ChildOptions::default() };
        let ran = egress::run(options, OUTPUT_BYTES_MAX, TIME).await?;
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Ok((ran.exit.code.unwrap_or(-1), ran.stdout, said))
    }

    async fn text(&self, words: &[&str]) -> anyhow::Result<String> {
        match self.ask(words).await? {
            (0, out, _) => Ok(String::from_utf8_lossy(&out).into_owned()),
            (_, _, said) => Err(Coded::new(FAILURE, format!("ask Git: {said}")).into()),
        }
    }

    /// The commit of a name.
    pub async fn commit(&self, name: &str) -> anyhow::Result<String> {
        let of = format!("{name}^{{commit}}");
        let found = self.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &of]).await;
        let found = found.map_err(|_| Coded::new(FAILURE, format!("find the commit {name:?}")))?;
        Ok(found.trim().to_owned())
    }

    /// A file of a commit; `None` where there is none.
    pub async fn file(&self, commit: &str, path: &str) -> anyhow::Result<Option<String>> {
        let listed = self.text(&["ls-tree", "-z", "--name-only", commit, "--", path]).await?;
        if listed.is_empty() {
            return Ok(None);
        }
        let of = format!("{commit}:./{path}");
        match self.ask(&["cat-file", "blob", &of]).await? {
            (0, out, _) => {
                let wrong = |_| Coded::new(FAILURE, format!("read {path}: it is no text"));
                Ok(Some(String::from_utf8(out).map_err(wrong)?))
            }
            (_, _, said) => Err(Coded::new(FAILURE, format!("read {path}: {said}")).into()),
        }
    }

    /// Whether a path is another one in two commits.
    pub async fn differs(&self, one: &str, other: &str, path: &str) -> anyhow::Result<bool> {
        Ok(self.file(one, path).await? != self.file(other, path).await?)
    }

    /// The commits behind one up to another, in order, with who signed each by the keys in a file of signers.
    pub async fn commits(&self, base: &str, head: &str, signers: &Path) -> anyhow::Result<Vec<Commit>> {
        if self.ask(&["merge-base", "--is-ancestor", base, head]).await?.0 != 0 {
            let text =
                "use the branch: it does not begin at the tip of the one that it is to go into; rebase it";
            return Err(Coded::new(REFUSED, text.to_owned()).into());
        }
        let signers = format!("gpg.ssh.allowedSignersFile={}", signers.display());
        let range = format!("{base}..{head}");
        let most = format!("--max-count={}", COMMITS_MAX + 1);
        let log = ["-c", &signers, "log", "-z", "--topo-order", "--reverse", &most, FORMAT];
        let words: Vec<&str> = log.into_iter().chain(["--end-of-options", &range]).collect();
        let printed = self.text(&words).await?;
        let parts: Vec<&str> = printed.strip_suffix('\0').unwrap_or(&printed).split('\0').collect();
        match parts.len() / PARTS {
            _ if printed.is_empty() => Ok(Vec::new()),
            count if count > COMMITS_MAX => {
                let text = format!("use the branch: it has more than {COMMITS_MAX} commits");
                Err(Coded::new(REFUSED, text).into())
            }
            _ => parts.chunks(PARTS).map(commit).collect(),
        }
    }
}

fn commit(parts: &[&str]) -> anyhow::Result<Commit> {
    let [hash, parents, verdict, signer, subject, trailers] = *parts else {
        return Err(Coded::new(FAILURE, "read what Git says of a commit".to_owned()).into());
    };
    if parents.contains(' ') {
        let text = format!("use the branch: {hash} is a merge; rebase it");
        return Err(Coded::new(REFUSED, text).into());
    }
    // `G`: the signature is good, and the key is one of the file.
    let signer = Some(signer.to_owned()).filter(|signer| verdict == "G" && !signer.is_empty());
    let trailers = trailers.lines().filter_map(|line| line.split_once(": "));
    let trailers = trailers.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    Ok(Commit { hash: hash.to_owned(), signer, subject: subject.to_owned(), trailers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_somebodys_only_by_a_good_signature_of_a_known_key() {
        let of = |verdict: &str, signer: &str, parents: &str| {
            commit(&["h", parents, verdict, signer, "s", "Governance-Vote: yes\n"])
        };
        assert_eq!(of("G", "ana", "p").unwrap().signer.as_deref(), Some("ana"));
        for verdict in ["U", "B", "E", "N", "X", "Y", "R", ""] {
            assert_eq!(of(verdict, "ana", "p").unwrap().signer, None, "{verdict}");
        }
        assert_eq!(of("G", "", "p").unwrap().signer, None);
        assert!(commit(&["h", "p", "G", "ana", "s"]).is_err());
        assert!(of("G", "ana", "p q").unwrap_err().to_string().contains("is a merge"));
        let found = of("G", "ana", "p").unwrap();
        assert_eq!(found.trailers, [("Governance-Vote".to_owned(), "yes".to_owned())]);
    }
}
