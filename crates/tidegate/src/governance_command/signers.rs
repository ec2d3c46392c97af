//! Whose keys are whose, where Git and GnuPG can read it: only keys of the branch that a change is to go
//! into.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use egress::ChildOptions;

use crate::exit::{Coded, FAILURE};

/// How long GnuPG may take to read keys.
const TIME: Duration = Duration::from_secs(60);
/// What it may print.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// Keys that are there are those that count; nothing is looked up elsewhere, and no other process is started.
const GNUPG: &str =
    "trust-model always\nno-auto-key-retrieve\ndisable-dirmngr\nno-autostart\nbatch\nno-tty\n";

/// A folder of the process's own with both kinds of keys; it goes with this.
pub struct Signers {
    folder: PathBuf,
    has_gnupg: bool,
}

impl Signers {
    /// Writes a file of allowed signers (ssh-keygen(1)), and reads armoured public keys of OpenPGP.
    pub async fn write(ssh: &str, openpgp: Option<&str>) -> anyhow::Result<Self> {
        let mut random = [0; 16];
        model::Rng::fill(&seal::SystemRng, &mut random);
        let folder = std::env::temp_dir().join(format!("tidegate-signers-{}", audit::hex(&random)));
        let cannot = || format!("write {}", folder.display());
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).with_context(cannot)?;
        let signers = Self { folder: folder.clone(), has_gnupg: openpgp.is_some() };
        std::fs::write(signers.ssh(), ssh).with_context(cannot)?;
        if let Some(keys) = openpgp {
            std::fs::write(folder.join("gpg.conf"), GNUPG).with_context(cannot)?;
            std::fs::write(folder.join("keys.asc"), keys).with_context(cannot)?;
            signers.import().await?;
        }
        Ok(signers)
    }

    async fn import(&self) -> anyhow::Result<()> {
        let (home, keys) = (self.folder.display().to_string(), self.folder.join("keys.asc"));
        let keys = keys.display().to_string();
        let argv = ["gpg", "--quiet", "--homedir", &home, "--import", "--", &keys];
        let argv = argv.map(str::to_owned).to_vec();
        let options = ChildOptions { argv, ..ChildOptions::default() };
        let ran = egress::run(options, OUTPUT_BYTES_MAX, TIME).await?;
        if ran.exit.code == Some(0) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Err(Coded::new(FAILURE, format!("read the keys of OpenPGP: {said}")).into())
    }

    /// The file of allowed signers.
    pub fn ssh(&self) -> PathBuf {
        self.folder.join("signers")
    }

    /// The home of GnuPG, where there are keys of OpenPGP.
    pub fn gnupg(&self) -> Option<&Path> {
        self.has_gnupg.then_some(self.folder.as_path())
    }
}

impl Drop for Signers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
