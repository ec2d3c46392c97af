//! A Git repository, asked by its own program, never through a shell.

use std::path::{Path, PathBuf};
use std::time::Duration;

use egress::ChildOptions;

use super::signers::Signers;
use crate::exit::{Coded, FAILURE, REFUSED};

/// What Git may print.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long it may take.
const TIME: Duration = Duration::from_secs(60);
/// Commits of one branch.
const COMMITS_MAX: usize = 1_000;
/// Parts of a commit as Git prints it, each with a NUL behind it, which no text of a commit has.
const PARTS: usize = 7;
const FORMAT: &str = "--format=%H%x00%P%x00%G?%x00%GS%x00%GP%x00%s%x00%(trailers:only=true,unfold=true)";

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
        self.ask_with(words, None).await
    }

    async fn ask_with(&self, words: &[&str], gnupg: Option<&Path>) -> anyhow::Result<(i32, Vec<u8>, String)> {
        let openpgp = format!("gpg.openpgp.program={}", if gnupg.is_some() { "gpg" } else { "false" });
        let env = gnupg.map(|home| ("GNUPGHOME".to_owned(), home.display().to_string()));
        // Whatever the repository's own settings say: no program of theirs runs, and no key but those of the
        // signers says who somebody is.
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
            &openpgp,
            "-c",
            "gpg.x509.program=false",
            "-c",
            "log.showSignature=false",
        ];
        let argv = fixed.iter().chain(words).map(|&word| word.to_owned()).collect();
        let (env, cwd) = (env.into_iter().collect(), Some(self.folder.clone()));
        let options = ChildOptions { argv, env, cwd, ..ChildOptions::default() };
        let ran = egress::run(options, OUTPUT_BYTES_MAX, TIME).await?;
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Ok((ran.exit.code.unwrap_or(-1), ran.stdout, said))
    }

    async fn text(&self, words: &[&str]) -> anyhow::Result<String> {
        self.text_with(words, None).await
    }

    async fn text_with(&self, words: &[&str], gnupg: Option<&Path>) -> anyhow::Result<String> {
        match self.ask_with(words, gnupg).await? {
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

    /// The names in a folder of a commit, which ends with a slash or is empty: the repository's own.
    pub async fn names(&self, commit: &str, folder: &str) -> anyhow::Result<Vec<String>> {
        let mut words = vec!["ls-tree", "-z", "--name-only", commit, "--"];
        words.extend(Some(folder).filter(|folder| !folder.is_empty()));
        let listed = self.text(&words).await?;
        let names = listed.split_terminator('\0').filter_map(|path| path.strip_prefix(folder));
        Ok(names.map(str::to_owned).collect())
    }

    /// Whether a path is another one in two commits.
    pub async fn differs(&self, one: &str, other: &str, path: &str) -> anyhow::Result<bool> {
        Ok(self.file(one, path).await? != self.file(other, path).await?)
    }

    /// The commits behind one up to another, in order, with who signed each by the keys that count.
    pub async fn commits(&self, base: &str, head: &str, signers: &Signers) -> anyhow::Result<Vec<Commit>> {
        if self.ask(&["merge-base", "--is-ancestor", base, head]).await?.0 != 0 {
            let text =
                "use the branch: it does not begin at the tip of the one that it is to go into; rebase it";
            return Err(Coded::new(REFUSED, text.to_owned()).into());
        }
        let allowed = format!("gpg.ssh.allowedSignersFile={}", signers.ssh().display());
        let range = format!("{base}..{head}");
        let most = format!("--max-count={}", COMMITS_MAX + 1);
        let log = ["-c", &allowed, "log", "-z", "--topo-order", "--reverse", &most, FORMAT];
        let words: Vec<&str> = log.into_iter().chain(["--end-of-options", &range]).collect();
        let printed = self.text_with(&words, signers.gnupg()).await?;
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
    let [hash, parents, verdict, signer, fingerprint, subject, trailers] = *parts else {
        return Err(Coded::new(FAILURE, "read what Git says of a commit".to_owned()).into());
    };
    // The name is Git's own word, so that parts that are shifted against one another are noticed by it.
    if !matches!(hash.len(), 40 | 64) || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Coded::new(FAILURE, "read what Git says of a commit".to_owned()).into());
    }
    if parents.contains(' ') {
        let text = format!("use the branch: {hash} is a merge; rebase it");
        return Err(Coded::new(REFUSED, text).into());
    }
    // `G`: the signature is good, and the key is one of the file.
    // What a key of OpenPGP says of its owner is his own word; the key is known by its fingerprint.
    let openpgp = !fingerprint.is_empty() && !fingerprint.contains(':');
    let signer = if openpgp { format!("openpgp:{fingerprint}") } else { signer.to_owned() };
    // `U`: as good, of a key that GnuPG has been told no trust in. There are none but those that count.
    let good = verdict == "G" || openpgp && verdict == "U";
    let signer = Some(signer).filter(|signer| good && !signer.is_empty());
    let trailers = trailers.lines().filter_map(|line| line.split_once(": "));
    let trailers = trailers.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    Ok(Commit { hash: hash.to_owned(), signer, subject: subject.to_owned(), trailers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_somebodys_only_by_a_good_signature_of_a_known_key() {
        let name = "0123456789abcdef0123456789abcdef01234567";
        let of = |verdict: &str, signer: &str, parents: &str| {
            commit(&[name, parents, verdict, signer, "", "s", "Governance-Vote: yes\n"])
        };
        assert_eq!(of("G", "ana", "p").unwrap().signer.as_deref(), Some("ana"));
        for verdict in ["U", "B", "E", "N", "X", "Y", "R", ""] {
            assert_eq!(of(verdict, "ana", "p").unwrap().signer, None, "{verdict}");
        }
        assert_eq!(of("G", "", "p").unwrap().signer, None);
        assert!(commit(&[name, "p", "G", "ana", "", "s"]).is_err());
        assert!(commit(&["s", "p", "G", "ana", "", "s", ""]).is_err(), "what is shifted is noticed");
        assert!(of("G", "ana", "p q").unwrap_err().to_string().contains("is a merge"));
        let openpgp = commit(&[name, "p", "G", "Ana <ana@example.org>", "AB12", "s", ""]).unwrap();
        assert_eq!(openpgp.signer.as_deref(), Some("openpgp:AB12"), "a name in a key is its owner's word");
        let found = of("G", "ana", "p").unwrap();
        assert_eq!(found.trailers, [("Governance-Vote".to_owned(), "yes".to_owned())]);
    }
}
