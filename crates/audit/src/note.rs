//! Signed notes (C2SP `signed-note`), the checkpoints in them (`tlog-checkpoint`), and what witnesses sign
//! (`tlog-cosignature`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use seal::Signer;

use crate::tree::Hash;

const ED25519: u8 = 1;
const COSIGNATURE: u8 = 4;
/// A note that is longer is none of ours.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// A public key with its name, as text `name+id+key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    kind: u8,
    key: [u8; 32],
}

impl PublicKey {
    /// The key of a log.
    #[must_use]
    pub fn of(name: &str, signer: &Signer) -> Self {
        Self { name: name.to_owned(), kind: ED25519, key: signer.public() }
    }

    /// Reads one. `None`: it is none, or its id does not fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = STANDARD.decode(key).ok()?;
        let (&kind, key) = key.split_first()?;
        let key = Self { name: name.to_owned(), kind, key: key.try_into().ok()? };
        let fits = is_name(name) && matches!(kind, ED25519 | COSIGNATURE) && crate::hex(&key.id()) == id;
        fits.then_some(key)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a witness signs with it.
    #[must_use]
    pub fn is_of_witness(&self) -> bool {
        self.kind == COSIGNATURE
    }

    /// Its id: the beginning of the digest of its name and itself.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let digest = seal::sha256(&[self.name.as_bytes(), b"\n", &[self.kind], &self.key].concat());
        digest.first_chunk().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = STANDARD.encode([&[self.kind][..], &self.key].concat());
        write!(f, "{}+{}+{key}", self.name, crate::hex(&self.id()))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace)
}

/// A signature of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A text with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Signs a text, which ends with a line.
    #[must_use]
    pub fn sign(text: String, name: &str, signers: &[&Signer]) -> Self {
        let sign = |signer: &&Signer| {
            let key = PublicKey::of(name, signer);
            Signature { name: name.to_owned(), id: key.id(), bytes: signer.sign(text.as_bytes()) }
        };
        let signatures = signers.iter().map(sign).collect();
        Self { text, signatures }
    }

    /// Adds what a witness says of it.
    #[must_use]
    pub fn cosign(mut self, name: &str, signer: &Signer, at: Timestamp) -> (Self, PublicKey) {
        let key = PublicKey { kind: COSIGNATURE, ..PublicKey::of(name, signer) };
        let seconds = at.0 / 1000;
        let mut bytes = seconds.to_be_bytes().to_vec();
        bytes.extend(signer.sign(cosigned(&self.text, seconds).as_bytes()));
        self.signatures.push(Signature { name: name.to_owned(), id: key.id(), bytes });
        (self, key)
    }

    /// Reads one. `None`: it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let note = std::str::from_utf8(bytes).ok().filter(|note| note.len() <= NOTE_BYTES_MAX)?;
        let at = note.rfind("\n\n")?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let lines = lines.strip_suffix('\n')?;
        let signatures: Option<Vec<Signature>> = lines.split('\n').map(signature).collect();
        Some(Self { text: text.to_owned(), signatures: signatures? })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is signed with this key; a witness's also says when.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let own = |signature: &&Signature| signature.name == key.name && signature.id == key.id();
        self.signatures.iter().filter(own).any(|signature| match key.kind {
            ED25519 => seal::verify_signature(&key.key, self.text.as_bytes(), &signature.bytes),
            _ => signature.bytes.split_first_chunk::<8>().is_some_and(|(seconds, bytes)| {
                let text = cosigned(&self.text, u64::from_be_bytes(*seconds));
                seal::verify_signature(&key.key, text.as_bytes(), bytes)
            }),
        })
    }

    /// Whether all that is signed by this name is signed with one of these keys. Of others it says nothing.
    #[must_use]
    pub fn is_signed_by_none_but(&self, name: &str, keys: &[PublicKey]) -> bool {
        let mut own = self.signatures.iter().filter(|signature| signature.name == name);
        own.all(|signature| {
            let mut fitting = keys.iter().filter(|key| key.name == name && key.id() == signature.id);
            fitting.any(|key| seal::verify_signature(&key.key, self.text.as_bytes(), &signature.bytes))
        })
    }
}

fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

fn signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    is_name(name).then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, bytes } in &self.signatures {
            writeln!(f, "\u{2014} {name} {}", STANDARD.encode([&id[..], bytes].concat()))?;
        }
        Ok(())
    }
}

/// What a log was at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// When it was signed, where that is said.
    pub at: Option<Timestamp>,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { origin, size, root, at } = self;
        let time = at.map(|at| format!("time {}\n", crate::moment(at))).unwrap_or_default();
        format!("{origin}\n{size}\n{}\n{time}", STANDARD.encode(root))
    }

    /// Reads the text. `None`: it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, digits, root) = (lines.next()?, lines.next()?, lines.next()?);
        let size: u64 = digits.parse().ok()?;
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        let at = lines.find_map(|line| seal::time_from_text(line.strip_prefix("time ")?));
        let fits = !origin.is_empty() && size.to_string() == digits;
        fits.then(|| Self { origin: origin.to_owned(), size, root, at })
    }

    /// Signs it: with the key in use, and the one before where it has just changed.
    #[must_use]
    pub fn sign(&self, signers: &[&Signer]) -> Note {
        Note::sign(self.text(), &self.origin, signers)
    }
}

/// The origin of a tenant's log.
#[must_use]
pub fn origin(base: &str, tenant: &str) -> String {
    use std::fmt::Write as _;
    let mut origin = format!("{base}/");
    for byte in tenant.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            origin.push(char::from(byte));
        } else {
            let _ = write!(origin, "%{byte:02X}");
        }
    }
    origin
}

/// The tenant of an origin.
#[must_use]
pub fn tenant_of(origin: &str) -> Option<String> {
    let (_, tenant) = origin.rsplit_once('/')?;
    let mut bytes = Vec::new();
    let mut rest = tenant.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
