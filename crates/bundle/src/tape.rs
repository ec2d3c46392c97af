//! Tape archives in one form: plain files, no owner, no time, no mode of their own.

use crate::BundleError;

/// The size of a header and the unit of what follows it.
const BLOCK: usize = 512;
/// The longest name; longer ones would need the prefix field, which is left empty.
const NAME_BYTES_MAX: usize = 100;
/// Where the length of the data stands.
const SIZE: std::ops::Range<usize> = 124..136;
/// Where the checksum stands.
const SUM: std::ops::Range<usize> = 148..156;
/// Where the kind stands; `0` is a plain file.
const KIND: usize = 156;

/// The one header of a member.
fn header(name: &str, len: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (place, byte) in block.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(SIZE.start, format!("{len:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The sum is made as if blanks stood in its place.
    put(SUM.start, b"        ");
    put(KIND, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (place, byte) in block.iter_mut().skip(SUM.start).zip(format!("{sum:06o}\0 ").bytes()) {
        *place = byte;
    }
    block
}

/// How many bytes follow data of this length.
fn padding(len: usize) -> usize {
    len.wrapping_neg() % BLOCK
}

/// Writes an archive.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Adds a member. Its name is one that was checked.
    pub(crate) fn member(&mut self, name: &str, data: &[u8]) {
        self.bytes.extend(header(name, data.len()));
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len() + padding(data.len()), 0);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

/// Reads an archive that a [`Writer`] wrote, and no other.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    fn wrong(&self, why: &'static str) -> BundleError {
        BundleError::Form { at: self.at, why }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], BundleError> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| self.wrong("the archive is cut off"))?;
        self.rest = rest;
        self.at += len;
        Ok(taken)
    }

    /// The next member; `None` after the last, once all that follows is the archive's end.
    pub(crate) fn next(&mut self) -> Result<Option<(String, &'a [u8])>, BundleError> {
        let start = self.at;
        let block = self.take(BLOCK)?;
        if block.iter().all(|byte| *byte == 0) {
            let end = self.take(BLOCK)?;
            return match self.rest.is_empty() && end.iter().all(|byte| *byte == 0) {
                true => Ok(None),
                false => Err(self.wrong("something follows the archive's end")),
            };
        }
        let wrong = |why| BundleError::Form { at: start, why };
        let name = block.iter().take(NAME_BYTES_MAX).take_while(|byte| **byte != 0).copied().collect();
        let name = String::from_utf8(name).map_err(|_| wrong("a name is no text"))?;
        let digits = block.get(SIZE).and_then(|field| std::str::from_utf8(field).ok());
        let len = digits.and_then(|text| usize::from_str_radix(text.strip_suffix('\0')?, 8).ok());
        let len = len.ok_or_else(|| wrong("this is no member of a bundle"))?;
        if block.get(KIND) != Some(&b'0') {
            return Err(wrong("a member is a link, a folder or something else that is no plain file"));
        }
        if header(&name, len) != block {
            return Err(wrong("a member has an owner, a time, a mode or a name that bundles do not have"));
        }
        let data = self.take(len)?;
        if self.take(padding(len))?.iter().any(|byte| *byte != 0) {
            return Err(wrong("something stands between two members"));
        }
        Ok(Some((name, data)))
    }
}
